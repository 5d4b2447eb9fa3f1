"""The server under attack, and the well-behaved client beside the attacker."""

import contextlib
import gc
import json
import os
import pathlib
import select
import signal
import ssl
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
CLIENT_PRIORITY, SERVER_PRIORITY = 20, 10
# A call is due so often, whatever became of those before it.
INTERVAL_SECONDS = 0.0005
# Timers are late by about as much. What is left of the wait the client spins.
SPIN_SECONDS = 0.00006


def put_first(task, priority):
    """On the first core, and before whatever else the machine does where we may: that is not to be measured."""
    os.sched_setaffinity(task, CORES[:1])
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(task, os.SCHED_FIFO, os.sched_param(priority))


def put_last():
    """On the last core, as any other process."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.sched_setaffinity(0, CORES[-1:])


class Latency(typing.NamedTuple):
    """Of calls, in milliseconds from when each was due: the median of the rounds."""

    p99: float
    most: float

    @staticmethod
    def of(rounds):
        ordered = [sorted(times) for times in rounds]
        return Latency(
            statistics.median(times[len(times) * 99 // 100] for times in ordered) * 1000,
            statistics.median(times[-1] for times in ordered) * 1000,
        )


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
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert self.process.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        # The client waits while the server works and the other way round: one core is as much as both can use.
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            put_first(int(thread), SERVER_PRIORITY)
        self.address = json.loads(ready.read_text())["grpc"]
        # What it occupies before anybody has done anything to it.
        self.fresh_mib = self.memory()

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
    """A process of its own, on another core than the server and the client: what it costs to attack slows down nobody
    but the attacker."""

    def __init__(self, name, address, prepared=0):
        command = [sys.executable, HERE / "attacks.py", name, address, str(prepared)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=put_last,
        )
        self.expect("ready")

    def expect(self, word):
        assert self.process.stdout.readline() == f"{word}\n"

    def drained(self):
        """Waits until the server has told each prepared connection which stream was its last."""
        self.say("drained?")
        self.expect("drained")

    def say(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def is_done(self):
        """Whether the attack that was begun last is over: its result is there."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def result(self):
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


class Client:
    """Makes a call every INTERVAL_SECONDS and takes the time of each from when it was due: one that waits for the
    server delays those behind it, and all of them tell so."""

    def __init__(self, address, authority=None):
        # Before the server, so that a call is made when it is due and not when the server has time for it.
        put_first(0, CLIENT_PRIORITY)
        tls = ssl.create_default_context(cafile=authority) if authority else None
        self.connection = wire.Connection(address, tls=tls).introduced()
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

    def times(self, step, is_over):
        """How long after it was due each call was answered, in seconds."""
        times, due = [], time.perf_counter()
        gc.disable()
        while not is_over():
            due += INTERVAL_SECONDS
            if (spare := due - time.perf_counter() - SPIN_SECONDS) > 0:
                time.sleep(spare)
            while time.perf_counter() < due:
                pass
            step()
            times.append(time.perf_counter() - due)
        gc.enable()
        return times
