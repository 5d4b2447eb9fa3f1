"""The servers and clients that ./dev bench rpc compares, each in a package of its own under Benchmarks/peers."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time

from measure import PEERS, RELEASE, ROOT, build_release, eventually

MESSAGES = 1000
TEXT_BYTES = 116

OURS = "ours"
GRPC_CPP = "gRPC C++"
GRPC_SWIFT = "grpc-swift-2"
NGHTTPD = "nghttpd"


def build_ours():
    build_release("BenchPeer")


def build():
    build_ours()
    subprocess.run(["make", "--quiet", "-C", PEERS / "grpc-cpp"], check=True)
    # Ten minutes the first time: its dependencies bring a TLS library of their own. Built as ours is.
    subprocess.run([*RELEASE, "--product", "GRPCSwiftPeer"], cwd=PEERS / "grpc-swift", check=True)


def versions():
    """What is compared, and on what: a line for each."""

    def output(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    manifest = (PEERS / "grpc-swift/Package.swift").read_text()
    yield "ours", output("git", "-C", ROOT, "describe", "--always", "--dirty").strip()
    yield GRPC_SWIFT, manifest.split('grpc-swift-2", exact: "')[1].split('"')[0]
    yield GRPC_CPP, output("pkg-config", "--modversion", "grpc++").strip()
    yield NGHTTPD, output("nghttpd", "--version").split()[1]
    load = os.getloadavg()[0]
    yield "machine", f"{os.cpu_count()} cores, load average {load:.1f} before the first round"


EXECUTABLES = {
    OURS: ROOT / ".build/release/BenchPeer",
    GRPC_CPP: PEERS / "grpc-cpp/.build/peer",
    GRPC_SWIFT: PEERS / "grpc-swift/.build/release/GRPCSwiftPeer",
}


def framed(message):
    """A gRPC message on the wire."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def echo(text_bytes):
    """bench.Echo with that much text, framed."""
    length, varint = text_bytes, b""
    while length > 127:
        varint += bytes([length & 127 | 128])
        length >>= 7
    return framed(b"\x0a" + varint + bytes([length]) + b"x" * text_bytes)


@dataclasses.dataclass
class Server:
    name: str
    pid: int
    port: int

    def cpu_seconds(self):
        """User and system time so far, of all its threads, to the nanosecond (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024


@contextlib.contextmanager
def serving(name, *wrapper, executable=None):
    """A running server with one event loop; gRPC C++'s callback API has threads of its own choosing."""
    command = [executable or EXECUTABLES[name], "serve"]
    if name == OURS:
        command += ["--messages", MESSAGES]
    else:
        command += [MESSAGES]
    with subprocess.Popen(
        [*wrapper, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        pid = process.pid
        try:
            # Whoever wraps it may print before it does.
            port = next(int(line) for line in process.stdout if line.strip().isdigit())
            pid = listener_pid(port)
            yield Server(name, pid, port)
        finally:
            # Only the server: a wrapper writes down what it found once that has ended.
            os.kill(pid, signal.SIGTERM)
            process.wait()


def listener_pid(port):
    line = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    return int(line.split("pid=")[1].split(",")[0])


@contextlib.contextmanager
def nghttpd(directory):
    """The library's own server, answering with files: the bytes of our answers, and their trailer."""
    service = directory / "bench.Bench"
    service.mkdir(exist_ok=True)
    (service / "Unary").write_bytes(echo(TEXT_BYTES))
    (service / "Stream").write_bytes(echo(TEXT_BYTES) * MESSAGES)
    (service / "Large").write_bytes(echo(1 << 20))
    with subprocess.Popen(
        ["nghttpd", "--no-tls", "-a127.0.0.1", "-n1", "-d", directory, "--trailer=grpc-status: 0", "0"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip

        def port():
            sockets = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
            mine = [line for line in sockets.splitlines() if f"pid={process.pid}," in line]
            return mine[0].split()[3].rsplit(":", 1)[1] if mine else None

        try:
            yield Server(NGHTTPD, process.pid, int(eventually(port, what="nghttpd")))
        finally:
            process.terminate()
            process.wait()


def load_client(name, server, calls, callers):
    """Has a client call `server`; returns what it prints: calls, seconds, cpu_seconds, p50_ms, p99_ms."""
    target = f"127.0.0.1:{server.port}"
    arguments = [target, calls, callers, TEXT_BYTES]
    if name == OURS:
        arguments = ["--target", target, "--calls", calls, "--callers", callers, "--bytes", TEXT_BYTES]
    done = subprocess.run(
        [EXECUTABLES[name], "load", *map(str, arguments)], capture_output=True, text=True, check=True
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])
