"""Three of our servers, our client balancing between them: restarts fail no call, and one that hangs is left alone."""

import json
import os
import pathlib
import signal
import statistics
import subprocess
import threading
import time

import pytest

PATIENCE_SECONDS = 60


class Server:
    """One of ours, at an address that it keeps when it is started again."""

    def __init__(self, test_peer, folder):
        self._test_peer = test_peer
        self._ready = folder / "ready.json"
        self.address = "127.0.0.1:0"
        self.start()

    def start(self):
        self._ready.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [self._test_peer, "serve", "--listen", self.address, "--ready-file", self._ready]
        )
        while not self._ready.exists():
            assert self.process.poll() is None, f"TestPeer ended with {self.process.returncode} before it served"
            time.sleep(0.01)
        self.address = json.loads(self._ready.read_text())["grpc"]

    def restart(self):
        self.process.terminate()
        assert self.process.wait(PATIENCE_SECONDS) == 0
        self.start()

    def send(self, number):
        self.process.send_signal(number)

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.kill()
        self.process.wait()


class Load:
    """Calls to the servers from one client, and what it says of each second."""

    def __init__(self, test_peer, servers, *arguments):
        self._process = subprocess.Popen(
            [test_peer, "load", "--target", ",".join(server.address for server in servers), *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.seconds = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            print(line, end="")
            self.seconds.append(json.loads(line))

    def wait_for_second(self, number):
        """Returns when so many seconds have been told of."""
        while len(self.seconds) < number:
            assert self._process.poll() is None, "the load has ended"
            time.sleep(0.01)

    def now(self):
        return len(self.seconds)

    def finish(self):
        """The seconds, and the summary that stands last."""
        assert self._process.wait(PATIENCE_SECONDS) == 0
        self._reader.join()
        *seconds, summary = self.seconds
        return seconds, summary

    def end(self):
        self._process.kill()
        self._process.wait()
        self._reader.join()


@pytest.fixture
def servers(test_peer, tmp_path):
    servers = []
    try:
        for index in range(3):
            folder = tmp_path / str(index)
            folder.mkdir()
            servers.append(Server(test_peer, folder))
        yield servers
    finally:
        for server in servers:
            server.end()


@pytest.fixture
def load(test_peer, servers):
    loads = []

    def start(*arguments):
        loads.append(Load(test_peer, servers, *arguments))
        return loads[-1]

    yield start
    for load in loads:
        load.end()


def median(seconds, what):
    return statistics.median(second[what] for second in seconds)


def assert_as_calm(seconds, calm):
    """Told by the middle one of them: the machine may have a slow second, and most of them it has not. The factor is
    for a machine that does something else beside; what would wait for a server that hangs does so a hundred times as
    long."""
    assert len(seconds) >= 3, "too few seconds to tell"
    assert median(seconds, "p99_ms") < 5 * median(calm, "p99_ms")
    assert median(seconds, "calls") > median(calm, "calls") / 5


def test_rolling_restart(servers, load):
    """Each server in turn is told to stop, drains and is started again: nobody notices."""
    calls = load("--seconds", "12", "--callers", "20", "--deadline-ms", "10000")
    calls.wait_for_second(3)
    for server in servers:
        server.restart()
        # The others carry the load, until this one is found again.
        calls.wait_for_second(calls.now() + 2)
    seconds, summary = calls.finish()
    assert summary["failures"] == {}
    # One of three is away for moments only.
    assert_as_calm(seconds[3:], seconds[:3])


def test_hung_server(servers, load):
    """One server is stopped as by a debugger: what it holds is called elsewhere, and it is back when it goes on."""
    calls = load("--seconds", "14", "--callers", "20", "--deadline-ms", "10000")
    calls.wait_for_second(3)
    servers[1].send(signal.SIGSTOP)
    stopped = calls.now()
    calls.wait_for_second(stopped + 7)
    servers[1].send(signal.SIGCONT)
    calls.wait_for_second(stopped + 9)
    before = [server.cpu_seconds() for server in servers]
    seconds, summary = calls.finish()
    worked = [server.cpu_seconds() - cpu for server, cpu in zip(servers, before)]
    print(f"CPU seconds after it went on: {worked}")
    assert worked[1] > max(worked) / 20, f"it is not back: {worked}"
    # Given up after three seconds. Whoever still called it would wait for seven, or until his deadline.
    assert_as_calm(seconds[stopped + 4 : stopped + 7], seconds[:stopped])
    # And once it is back.
    assert_as_calm(seconds[stopped + 7 :], seconds[:stopped])
    # The calls it held were made again: the contract says that they may be.
    assert summary["failures"] == {}


def test_ejection(servers, load):
    """Calls that must be quick find out sooner: five that pass their deadline eject the server."""
    calls = load("--seconds", "9", "--callers", "20", "--deadline-ms", "500")
    calls.wait_for_second(3)
    servers[1].send(signal.SIGSTOP)
    stopped = calls.now()
    seconds, summary = calls.finish()
    servers[1].send(signal.SIGCONT)
    for second in seconds[stopped + 3 :]:
        assert second["failures"] == {}
    assert_as_calm(seconds[stopped + 3 :], seconds[:stopped])
    # Each caller has one call there when it hangs, and four may make another before the fifth ejects it. The deadline
    # was theirs: nothing of it is left to try again.
    assert set(summary["failures"]) <= {"DEADLINE_EXCEEDED"}
    assert summary["failures"].get("DEADLINE_EXCEEDED", 0) <= 24
