"""The server under attack, and the well-behaved client beside the attacker."""

import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import typing

import hpack

import wire

HERE = pathlib.Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
# In calm a call takes 0.03 ms, less than the loop needs to accept somebody's connection or the system to let it run: twice
# that is not yet a delay.
FLOOR_MS = 0.2


def put_first(process):
    """Before whatever else the machine does, where we may: that is not to be measured."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, process, -15)


class Latency(typing.NamedTuple):
    """Of the calls of one window, in milliseconds."""

    p99: float
    most: float

    @staticmethod
    def median(windows):
        return Latency(*map(statistics.median, zip(*windows, strict=True)))


class Server:
    """TestPeer on a port of its own."""

    def __init__(self, *options, tls=False):
        self.directory = tempfile.TemporaryDirectory(prefix="hostile-")
        self.authority = None
        if tls:
            self.authority = self._make_certificate()
            options += ("--tls-certificate", self.authority, "--tls-key", f"{self.directory.name}/key.pem")
        ready = pathlib.Path(self.directory.name, "ready.json")
        program = pathlib.Path(os.environ["MAINSTREET_BIN"], "TestPeer")
        self.process = subprocess.Popen([program, "serve", "--ready-file", ready, "--drain-grace", "120", *options])
        # The client waits while the server works and the other way round: one core is as much as both can use.
        os.sched_setaffinity(self.process.pid, CORES[:1])
        put_first(self.process.pid)
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert self.process.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        self.address = json.loads(ready.read_text())["grpc"]

    def _make_certificate(self):
        certificate = f"{self.directory.name}/certificate.pem"
        subprocess.run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost"
            f" -addext subjectAltName=DNS:localhost -keyout {self.directory.name}/key.pem -out {certificate}".split(),
            check=True, capture_output=True,
        )
        return certificate

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def memory(self, what="VmRSS"):
        """Resident memory in MiB; `VmHWM` is the most since `forget_peak`."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"no {what} in the status of the server")


class Attacker:
    """A process of its own: what it costs to attack is not to slow the client down."""

    def __init__(self, name, address, prepared=0):
        command = [sys.executable, HERE / "attacks.py", name, address, str(prepared)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        os.sched_setaffinity(self.process.pid, CORES[-1:])
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, self.process.pid, 0)
        assert self.process.stdout.readline() == "ready\n"

    def attack(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def result(self):
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


class Client:
    """Makes one call after the other and takes the time of each."""

    def __init__(self, address, authority=None):
        os.sched_setaffinity(0, CORES[:1])
        put_first(0)
        self.connection = wire.Connection(address, authority=authority).introduced()
        # Room for all answers of a test, so that only calls are on the wire.
        self.connection.send(wire.window_update(0, 0x4000_0000))
        self.next = 1
        self.check()

    def call(self):
        """A unary call on a new stream."""
        stream, self.next = self.next, self.next + 2
        self.connection.send(wire.request(stream) + wire.data(stream, wire.message(), end=True))
        self.headers = b""
        while got := self.connection.receive():
            kind, flags, of, payload = got
            if kind == wire.HEADERS and of == stream:
                self.headers += payload
                if flags & wire.END_STREAM:
                    return
        raise AssertionError(f"a well-behaved client's call failed: {self.connection.ending}")

    def check(self):
        """What the server answers is what is meant to be measured."""
        self.call()
        fields = hpack.Decoder().decode(self.headers)
        assert ("grpc-status", "0") in fields, fields

    def open_stream(self):
        """A call that stays open, for while the server takes no others."""
        self.stream, self.next = self.next, self.next + 2
        self.connection.send(wire.request(self.stream, f"{wire.SERVICE}/FullDuplexCall"))

    def echo(self):
        """A message each way on the open stream."""
        # StreamingOutputCallRequest{response_parameters: [{size: 1}]}
        self.connection.send(wire.data(self.stream, wire.message(b"\x12\x02\x08\x01")))
        while got := self.connection.receive():
            kind, _, of, payload = got
            if kind == wire.PING and not got[1] & wire.ACK:
                self.connection.send(wire.ping(payload, ack=True))
            if kind == wire.DATA and of == self.stream:
                self.connection.send(wire.window_update(of, len(payload)))
                return
        raise AssertionError(f"a well-behaved client's stream failed: {self.connection.ending}")

    def latency(self, step, seconds):
        """The 99th percentile and the most, in milliseconds."""
        times, until = [], time.perf_counter() + seconds
        while (start := time.perf_counter()) < until:
            step()
            times.append(time.perf_counter() - start)
        p99 = statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]
        return Latency(p99 * 1000, max(times) * 1000)
