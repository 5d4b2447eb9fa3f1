"""A service in small: its database, its workers, and those who give it work. Each is a process, there to be killed."""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import urllib.parse
import uuid

from harness import BIN, eventually, psql

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_SECONDS = 90
ROLES = """
DO $$
BEGIN
  IF to_regrole('mainstreet_faults_owner') IS NULL THEN CREATE ROLE mainstreet_faults_owner LOGIN; END IF;
  IF to_regrole('mainstreet_faults') IS NULL THEN CREATE ROLE mainstreet_faults LOGIN; END IF;
END
$$
"""


class Worker:
    """A process that works the queue."""

    def __init__(self, url, log, *arguments, clock=None):
        """`clock`: what it takes for the time."""
        self.log = log
        self.latencies = []
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [BIN / "FaultPeer", "work", "--url", url, *arguments],
                env={**os.environ, **(clock.environment if clock else {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.latencies.append(json.loads(line))

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def stop(self):
        """As an operator does: it says goodbye."""
        self.process.terminate()
        assert self.process.wait(PATIENCE_SECONDS) == 0, self.log.read_text()[-2000:]
        self._reader.join()

    def has_ended(self):
        return self.process.poll() is not None


class Adder:
    """A process that adds jobs, and keeps a ledger of what was acknowledged."""

    def __init__(self, url, ledger, *arguments):
        self.ledger = ledger
        self.ledger.touch()
        self._process = subprocess.Popen(
            [BIN / "FaultPeer", "add", "--url", url, "--ledger", ledger, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def acknowledged(self):
        """(id, whether there is a row too, microseconds) of each, in the order of their acknowledgement."""
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return [(job, kind == "row", int(microseconds)) for job, kind, microseconds in lines]

    def finish(self):
        """Has it stop; what failed, by reason."""
        output, _ = self._process.communicate("", timeout=PATIENCE_SECONDS)
        assert self._process.returncode == 0
        return json.loads(output)["failures"]

    def end(self):
        self._process.kill()
        self._process.wait()


class Service:
    """A database of its own with a queue, and the processes that use it.

    `also`: further sockets of clusters, one of which takes over when the first dies.
    """

    def __init__(self, admin_url, folder, also=()):
        self.folder = folder
        self._hosts = [urllib.parse.parse_qs(urllib.parse.urlparse(admin_url).query)["host"][0], *also]
        self._admin_url = admin_url
        self.name = f"faults_{uuid.uuid4().hex[:12]}"
        self._processes = []
        psql(admin_url, f"CREATE DATABASE {self.name}")
        psql(admin_url, ROLES)
        self.query("CREATE SCHEMA faults AUTHORIZATION mainstreet_faults_owner; GRANT USAGE ON SCHEMA faults TO mainstreet_faults")
        subprocess.run(
            [BIN / "FaultPeer", "migrate", "--url", self.url("mainstreet_faults_owner")], check=True, capture_output=True
        )
        subprocess.run(
            ["psql", "-Xq", self.url("postgres"), "-f", HERE / "ledger.sql"], check=True, capture_output=True
        )

    def url(self, user):
        url = f"postgresql:///{self.name}?host={','.join(map(str, self._hosts))}&user={user}"
        return url if len(self._hosts) == 1 else url + "&target_session_attrs=read-write"

    def query(self, sql):
        return psql(self.url("postgres"), sql)

    def number(self, sql):
        return int(self.query(sql))

    def worker(self, *arguments, clock=None):
        log = self.folder / f"worker{len(self._processes)}.log"
        worker = Worker(self.url("mainstreet_faults"), log, *arguments, clock=clock)
        self._processes.append(worker)
        return worker

    def adder(self, *arguments):
        ledger = self.folder / f"ledger{len(self._processes)}"
        adder = Adder(self.url("mainstreet_faults"), ledger, *arguments)
        self._processes.append(adder)
        return adder

    def add(self, count, *arguments, clock=None):
        """Adds so many jobs, and returns when they are there."""
        subprocess.run(
            [BIN / "FaultPeer", "add", "--url", self.url("mainstreet_faults"), "--count", str(count), *arguments],
            env={**os.environ, **(clock.environment if clock else {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=PATIENCE_SECONDS,
        )

    def drained(self, timeout=PATIENCE_SECONDS):
        """Returns when no job waits or runs."""
        waiting = """
            SELECT (SELECT count(*) FROM faults.jobs_ready) + (SELECT count(*) FROM faults.jobs_running)
              + (SELECT count(*) FROM faults.jobs_scheduled)
        """
        eventually(lambda: self.number(waiting) == 0, timeout, what=f"an empty queue; {self.stations()}")

    def stations(self):
        tables = ("ready", "scheduled", "running", "dead", "history")
        return {table: self.number(f"SELECT count(*) FROM faults.jobs_{table}") for table in tables}

    def enlisted(self, count):
        """Returns when so many workers are on the list."""
        eventually(lambda: self.number("SELECT count(*) FROM faults.jobs_workers") >= count, what="workers on the list")

    def logged(self, message):
        """The lines with this message in the logs of all workers."""
        lines = []
        for log in self.folder.glob("worker*.log"):
            for line in log.read_text().splitlines():
                # A process that was killed may have left half a line; one that aborted, what Swift says of it.
                with contextlib.suppress(ValueError):
                    record = json.loads(line)
                    if isinstance(record, dict) and record.get("msg") == message:
                        lines.append(record)
        return lines

    def end(self):
        for process in self._processes:
            if isinstance(process, Worker):
                process.send(signal.SIGCONT) if not process.has_ended() else None
                process.kill()
            else:
                process.end()
        with contextlib.suppress(subprocess.CalledProcessError):
            psql(self._admin_url, f"DROP DATABASE {self.name} WITH (FORCE)")


class Supervisor:
    """Keeps so many workers running: one that ends is started again at once."""

    def __init__(self, service, count, *arguments):
        self._service = service
        self._arguments = arguments
        self.restarts = 0
        self.workers = [service.worker(*arguments) for _ in range(count)]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        while not self._done.wait(0.05):
            for index, worker in enumerate(self.workers):
                if worker.has_ended():
                    self.restarts += 1
                    self.workers[index] = self._service.worker(*self._arguments)

    def any(self):
        return random.choice(self.workers)

    def leave(self):
        """Restarts no more."""
        self._done.set()
        self._thread.join()


def overlaps(service):
    """How many pairs of runs of one job there were at a time, both under leases that were alive."""
    return service.number(
        """
        WITH live AS (
          SELECT r.job_id, r.attempt, r.began_at, coalesce(least(r.ended_at, l.released_at), 'infinity') AS ended_at
          FROM faults.runs AS r JOIN faults.leases AS l USING (job_id, attempt)
          WHERE r.began_at < coalesce(l.released_at, 'infinity'))
        SELECT count(*) FROM live AS a JOIN live AS b ON b.job_id = a.job_id AND b.attempt > a.attempt
        WHERE a.began_at < b.ended_at AND b.began_at < a.ended_at
        """
    )


def longest_gap_seconds(ledger):
    """Between one acknowledgement and the next."""
    times = [microseconds for _, _, microseconds in ledger]
    return max(later - earlier for earlier, later in zip(times, times[1:], strict=False)) / 1e6
