"""From CSV files through the Edge to a report that an independent script agrees with."""

import gzip
import json
import subprocess
import sys

import pytest

from harness import REAL_DATA, ROOT

ORACLE = ROOT / "Tests/Oracles/recompute_report.py"
HEADER = (
    "store_id,uptime_last_hour(in minutes),uptime_last_day(in hours),uptime_last_week(in hours),"
    "downtime_last_hour(in minutes),downtime_last_day(in hours),downtime_last_week(in hours)"
)
FILES = (("timezones", "store_timezones"), ("hours", "business_hours"), ("polls", "store_status"))
AS_OF = "2023-01-25T18:13:22.479220Z"


def agree(directory, suffix, as_of, report, tmp_path):
    """The oracle recomputes every row from the files."""
    path = tmp_path / "report.csv"
    path.write_bytes(report)
    files = [part for kind, name in FILES for part in (f"--{kind}", directory / f"{name}{suffix}")]
    command = [sys.executable, ORACLE, *files, "--as-of", as_of, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    print(done.stdout)


@pytest.mark.skipif(not REAL_DATA.exists(), reason="the real data is not beside this checkout")
def test_the_real_data_gives_the_report_the_oracle_gives(platform, tmp_path):
    for kind, name in FILES:
        summary = platform.import_csv(kind, (REAL_DATA / f"{name}.csv.gz").read_bytes())
        with gzip.open(REAL_DATA / f"{name}.csv.gz") as file:
            assert summary["rows"] == sum(1 for _ in file) - 1
    report = platform.report({"asOf": AS_OF})
    rows = report.decode().splitlines()
    assert rows[0] == HEADER
    assert len(rows) - 1 == 13_891
    agree(REAL_DATA, ".csv.gz", AS_OF, report, tmp_path)


def test_a_generated_world_gives_the_report_the_oracle_gives(platform, tmp_path):
    world = tmp_path / "world"
    world.mkdir()
    subprocess.run(
        ["swift", "run", "--quiet", "--package-path", ROOT / "Tools", "seed"]
        + ["--stores", "300", "--polls", "20000", "--seed", "7", "--out", world],
        check=True,
        capture_output=True,
    )
    for kind, name in FILES:
        platform.import_csv(kind, (world / f"{name}.csv").read_bytes())
    report_id = platform.json("POST", "/trigger_report", expect=201)["reportId"]
    report = platform.download(report_id)
    as_of = platform.json("GET", f"/reports/{report_id}")["asOf"]
    agree(world, ".csv", as_of, report, tmp_path)


def test_a_report_is_a_download_with_a_name(platform):
    platform.import_csv("polls", b"store_id,status,timestamp_utc\na,active,2023-01-25 10:00:00 UTC\n")
    report_id = platform.json("POST", "/api/v1/trigger_report", {}, expect=201)["reportId"]
    platform.download(report_id)
    _, headers, body = platform.request("GET", f"/api/get_report/{report_id}")
    assert headers["content-disposition"] == f"attachment; filename=report-{report_id}.csv"
    assert body.decode() == f"{HEADER}\na,60,24,168,0,0,0\n"


def test_an_import_twice_changes_nothing(platform):
    csv = b"timestamp_utc,store_id,status\n2023-01-25 10:00:00 UTC,a,active\n2023-01-25 11:00:00 UTC,a,inactive\n"
    first = platform.import_csv("polls", csv)
    second = platform.import_csv("polls", csv)
    assert (first["accepted"], first["duplicates"], first["storesCreated"]) == (2, 0, 1)
    assert (second["accepted"], second["duplicates"], second["storesCreated"]) == (0, 2, 0)


def test_a_poll_is_recorded_once(platform):
    store = platform.json("POST", "/stores", {"name": "Loop Pizza", "timezone": "America/New_York"}, expect=201)
    poll = {"status": "active", "timestamp": "2025-06-14T10:00:00Z"}
    platform.json("POST", f"/stores/{store['storeId']}/status", poll, expect=201)
    platform.json("POST", f"/stores/{store['storeId']}/status", poll, expect=200)
    platform.json("POST", f"/stores/{store['storeId']}/status", {**poll, "status": "inactive"}, expect=200)
    last_hour = platform.json("GET", f"/stores/{store['storeId']}/uptime-last-hour")
    assert json.dumps(last_hour, sort_keys=True) == '{"downtimeMinutes": 60, "uptimeMinutes": 0}'
