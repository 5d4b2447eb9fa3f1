"""The database dies, or another takes over, or somebody holds it up: what was acknowledged is there, and is done."""

import statistics
import subprocess
import time

import pytest

from harness import PG_BIN, Cluster, eventually
from service import Service, longest_gap_seconds, overlaps

# A database that dies loses no more than it must, and says when it has written.
DURABLE = ["-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on"]


@pytest.fixture
def cluster():
    cluster = Cluster(*DURABLE)
    yield cluster
    cluster.destroy()


def unacknowledged(service, ledger):
    """Of what the adder was told is there: jobs without effect, and rows that are missing."""
    effects = set(service.query("SELECT DISTINCT job_id FROM faults.effects").split())
    rows = set(service.query("SELECT id FROM faults.written").split())
    return [job for job, _, _ in ledger if job not in effects], [job for job, has_row, _ in ledger if has_row and job not in rows]


def assert_nothing_lost(service, adder, figure):
    failures = adder.finish()
    service.drained()
    ledger = adder.acknowledged()
    jobs, rows = unacknowledged(service, ledger)
    doubles = service.number("SELECT count(*) - count(DISTINCT job_id) FROM faults.effects")
    figure("acknowledged, of those lost", f"{len(ledger)}, {len(jobs)} jobs and {len(rows)} rows")
    figure("callers' errors", failures)
    figure("runs begun again", service.number("SELECT count(*) FROM faults.runs WHERE attempt > 1"))
    figure("effects doubled", doubles)
    figure("seconds without an acknowledgement", f"{longest_gap_seconds(ledger):.2f}")
    assert jobs == [] and rows == []
    assert doubles == 0
    assert overlaps(service) == 0
    assert set(failures) <= {"unavailable", "connectionLost", "deadlineExceeded", "server"}
    return ledger


def test_postgres_killed(cluster, tmp_path, request, figure):
    """kill -9 of Postgres under load: adders and workers go on by themselves once it is back."""
    service = Service(cluster.admin_url, tmp_path)
    request.addfinalizer(service.end)
    for _ in range(2):
        service.worker("--lease", "4", "--concurrency", "16")
    service.enlisted(2)
    adder = service.adder("--rate", "200", "--milliseconds", "20")
    eventually(lambda: len(adder.acknowledged()) > 400, what="jobs")
    cluster.kill()
    died = time.monotonic_ns()
    time.sleep(1)
    cluster.start()
    back = time.monotonic_ns()
    figure("seconds from death until connections are accepted", f"{(back - died) / 1e9:.2f}")

    def acknowledged_since_back():
        return [at for _, _, at in adder.acknowledged() if at * 1000 > back]

    eventually(lambda: len(acknowledged_since_back()) > 200, what="jobs after it is back")
    first = acknowledged_since_back()[0] * 1000
    figure("seconds from death until the next acknowledgement", f"{(first - died) / 1e9:.2f}")
    before = service.number("SELECT count(*) FROM faults.effects")
    eventually(lambda: service.number("SELECT count(*) FROM faults.effects") > before, timeout=5, what="workers that go on")
    assert_nothing_lost(service, adder, figure)
    assert first - back < 3e9


class Standby(Cluster):
    """Follows a primary, which waits for it with each commit."""

    def __init__(self, primary):
        self.primary = primary
        super().__init__(*DURABLE)

    def make(self):
        self.data.chmod(0o700)
        source = ["-h", self.primary.data, "-U", "postgres"]
        self._as_postgres(PG_BIN / "pg_basebackup", *source, "-D", self.data, "-c", "fast", "-R", "--no-sync")
        # The primary's, whose socket lies among its data.
        (self.data / ".s.PGSQL.5432.lock").unlink()

    def promote(self):
        self._as_postgres(PG_BIN / "pg_ctl", "-D", self.data, "-w", "promote")


def test_primary_killed_and_standby_promoted(cluster, tmp_path, request, figure):
    """A synchronous standby takes over: the same processes find it, and it has all that was acknowledged."""
    standby = Standby(cluster)
    request.addfinalizer(standby.destroy)
    cluster.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
    cluster.query("SELECT pg_reload_conf()")
    eventually(lambda: cluster.query("SELECT sync_state FROM pg_stat_replication") == "sync", what="a synchronous standby")
    service = Service(cluster.admin_url, tmp_path, also=[standby.data])
    request.addfinalizer(service.end)
    for _ in range(2):
        service.worker("--lease", "4", "--concurrency", "16")
    service.enlisted(2)
    adder = service.adder("--rate", "200", "--milliseconds", "20")
    eventually(lambda: len(adder.acknowledged()) > 400, what="jobs")
    cluster.kill()
    died = time.monotonic_ns()
    # What notices that it is gone, and decides: half a second of it, here.
    time.sleep(0.5)
    standby.promote()
    promoted = time.monotonic_ns()

    def acknowledged_since():
        return [at for _, _, at in adder.acknowledged() if at * 1000 > died]

    eventually(lambda: len(acknowledged_since()) > 200, what="jobs on the standby")
    first = acknowledged_since()[0] * 1000
    figure("seconds from death until promoted", f"{(promoted - died) / 1e9:.2f}")
    figure("seconds from death until the next acknowledgement", f"{(first - died) / 1e9:.2f}")
    assert_nothing_lost(service, adder, figure)
    assert first - promoted < 3e9


def test_transaction_held_open(service, admin_url, tmp_path, request, figure):
    """Somebody keeps old rows from being cleaned away for 25 seconds: jobs begin about as soon as in another database,
    where nobody does. Side by side, for what else the machine does holds up both."""
    (tmp_path / "beside").mkdir()
    beside = Service(admin_url, tmp_path / "beside")
    request.addfinalizer(beside.end)
    workers = {one: [one.worker("--adding", "150", "--concurrency", "8") for _ in range(2)] for one in (service, beside)}

    def pass_seconds(count):
        """Lets so many seconds pass; returns what the workers of each database tell of them."""
        everybody = workers[service] + workers[beside]
        begun = {worker: len(worker.latencies) for worker in everybody}
        eventually(
            lambda: all(len(worker.latencies) > begun[worker] + count for worker in everybody), what="seconds that pass"
        )
        return [
            [second for worker in workers[one] for second in worker.latencies[begun[worker] + 1 :]] for one in workers
        ]

    pass_seconds(3)
    session = subprocess.Popen(
        ["psql", "-Xq", service.url("postgres")], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        session.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM faults.jobs_ready;\n")
        session.stdin.flush()
        pinned = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND backend_xmin IS NOT NULL AND state = 'idle in transaction'
        """
        eventually(lambda: service.number(pinned) == 1, what="a transaction held open")
        pass_seconds(10)
        # When most is left lying about.
        held, free = pass_seconds(14)
    finally:
        session.kill()
        session.wait()

    def median(of, what):
        return statistics.median(second[what] for second in of)

    figure("jobs a second, of one worker: free, held", f"{median(free, 'jobs'):.0f}, {median(held, 'jobs'):.0f}")
    for what in ("p50_ms", "p99_ms"):
        figure(f"{what.replace('_', ' ')} from added to begun: free, held", f"{median(free, what):.1f}, {median(held, what):.1f}")
    figure("rows kept from being cleaned away", service.number("SELECT sum(n_dead_tup) FROM pg_stat_user_tables"))
    # Two milliseconds are nothing to tell apart.
    assert median(held, "p99_ms") < 2 * max(median(free, "p99_ms"), 2)
