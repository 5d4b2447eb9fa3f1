"""What an operator sees at 3 a.m.: processes die, and what was acknowledged is still there."""

import json
import os
import subprocess
import threading
import time

import pytest

from harness import BIN, Cluster, Platform, eventually, http_get

POLLS = "".join(
    f"s{store},{'active' if (store + minute) % 3 else 'inactive'},2023-01-{day:02} {minute // 60:02}:{minute % 60:02}:00 UTC\n"
    for store in range(100)
    for day in range(18, 26)
    for minute in range(0, 1440, 30)
)
CSV = ("store_id,status,timestamp_utc\n" + POLLS).encode()


def test_a_report_survives_kill_9_of_its_worker(platform):
    platform.import_csv("polls", CSV)
    report_ids = [platform.json("POST", "/trigger_report", expect=201)["reportId"] for _ in range(5)]
    platform.store.kill()
    status, headers, body = platform.request("GET", f"/get_report/{report_ids[0]}")
    assert status == 503 and headers["content-type"] == "application/problem+json", body
    platform.restart_store()
    reports = {platform.download(report_id) for report_id in report_ids}
    assert len(reports) == 1 and reports.pop().count(b"\n") == 101


def test_a_store_created_with_a_key_is_one_however_often_the_service_dies(platform):
    for attempt in range(12):
        key, name = f"kill-{attempt}", f"shop {attempt}"
        begun = threading.Barrier(5)

        def create(key=key, name=name, begun=begun):
            begun.wait()
            return platform.request(
                "POST", "/stores", json.dumps({"name": name}).encode(), {"Idempotency-Key": key}
            )

        callers = [threading.Thread(target=create) for _ in range(4)]
        for caller in callers:
            caller.start()
        begun.wait()
        # Before, while and after the calls run.
        time.sleep(attempt * 0.002)
        platform.store.kill()
        platform.store.start("--grpc-listen", platform.store.addresses["grpc"])
        for caller in callers:
            caller.join(60)
            assert not caller.is_alive()

        def created(key=key, name=name):
            status, _, body = platform.request(
                "POST", "/stores", json.dumps({"name": name}).encode(), {"Idempotency-Key": key}
            )
            assert status in (201, 409, 503), (status, body)
            return json.loads(body)["storeId"] if status == 201 else None

        store = eventually(created, what="an answer")
        found = platform.database.query(f"SELECT store_id FROM store.stores WHERE name = '{name}'")
        assert found == store, (found, store)


def test_postgres_killed_during_an_import_leaves_nothing_half_done(request):
    cluster = Cluster()
    request.addfinalizer(cluster.destroy)
    platform = Platform(cluster.admin_url)
    request.addfinalizer(platform.stop)
    platform.import_csv("polls", b"store_id,status,timestamp_utc\nbefore,active,2023-01-25 10:00:00 UTC\n")

    answer, halfway = {}, threading.Event()

    def body():
        half = len(CSV) // 2
        yield CSV[:half]
        halfway.set()
        dead.wait(20)
        yield CSV[half:]

    def upload():
        try:
            answer["status"], _, answer["body"] = platform.request(
                "POST", "/imports/polls", body(), {"Content-Type": "text/csv"}
            )
        except OSError as error:
            answer["status"], answer["body"] = 0, str(error)

    dead = threading.Event()
    uploading = threading.Thread(target=upload)
    uploading.start()
    assert halfway.wait(20)
    cluster.kill()
    dead.set()
    uploading.join(30)
    assert not uploading.is_alive() and answer["status"] in (0, 500, 503), answer

    cluster.start()
    back = time.monotonic()

    def listed():
        status, _, body = platform.request("GET", "/stores")
        return json.loads(body)["stores"] if status == 200 else None

    stores = eventually(listed, timeout=5, what="recovery by itself")
    print(f"recovered {time.monotonic() - back:.2f} s after Postgres accepted connections")
    assert [store["externalId"] for store in stores] == ["before"]
    platform.import_csv("polls", CSV)


def test_sigterm_ends_with_0_and_the_work_done(platform):
    platform.import_csv("polls", CSV)
    assert platform.edge.terminate() == 0
    assert platform.store.terminate() == 0


def test_readiness_tells_what_is_wrong(request):
    cluster = Cluster()
    request.addfinalizer(cluster.destroy)
    platform = Platform(cluster.admin_url)
    request.addfinalizer(platform.stop)
    admin = platform.store.addresses["admin"]
    eventually(lambda: http_get(admin, "/readyz")[0] == 200, what="ready")
    cluster.kill()
    eventually(lambda: http_get(admin, "/readyz")[0] == 503, timeout=10, what="not ready")
    assert b"postgres" in http_get(admin, "/readyz")[2]
    eventually(lambda: health(platform)["databases"]["store"]["status"] == "down", timeout=5, what="told of it")
    assert http_get(admin, "/livez")[0] == 200
    cluster.start()
    eventually(lambda: http_get(admin, "/readyz")[0] == 200, timeout=5, what="ready again")
    # Each service finds it in its own time.
    eventually(lambda: health(platform)["status"] == "healthy", timeout=10, what="healthy again")
    assert platform.request("GET", "/health")[0] == 200


def health(platform):
    """What the Edge says of the platform, at most a second old."""
    status, _, body = platform.request("GET", "/api/v1/health")
    report = json.loads(body)
    assert (status == 503) == (report["status"] == "unhealthy"), body
    return report


def failed_start(executable, environment, *arguments):
    """The one line a program says when it cannot start."""
    done = subprocess.run(
        [BIN / executable, "serve", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, (done.returncode, done.stderr[-2000:])
    [reason] = [line["msg"] for line in map(json.loads, done.stderr.splitlines()) if line["level"] == "critical"]
    return reason


def test_a_start_that_cannot_go_on_says_why(platform):
    store, edge = platform.store.environment, platform.edge.environment
    taken = platform.store.addresses["grpc"]
    assert taken in failed_start("StoreSvc", store, "--grpc-listen", taken)
    assert "MAINSTREET_STORE_DATABASE_URL" in failed_start("StoreSvc", {})
    assert "MAINSTREET_EDGE_SERVICE_SECRET" in failed_start(
        "Edge", {key: value for key, value in edge.items() if "SECRET" not in key}
    )
    assert "--no-such-flag" in failed_start("Edge", edge, "--no-such-flag", "1")
    nowhere = "postgresql:///x?host=/nonexistent"
    assert "connect" in failed_start("StoreSvc", {**store, "MAINSTREET_STORE_DATABASE_URL": nowhere}).lower()


def test_a_schema_that_is_not_migrated_stops_the_start(platform):
    # Its workers look at their tables all the time, in another order than the drop.
    assert platform.store.terminate() == 0
    platform.database.query("DROP SCHEMA store CASCADE")
    platform.database.make_schemas()
    assert "migrate" in failed_start("StoreSvc", platform.store.environment)


@pytest.mark.parametrize("executable", ["StoreSvc", "Edge"])
def test_help_lists_every_setting(executable):
    done = subprocess.run([BIN / executable, "--help"], capture_output=True, text=True, check=True)
    for setting in ("--admin-listen", "--log-level", "--ready-file", "MAINSTREET_"):
        assert setting in done.stdout
