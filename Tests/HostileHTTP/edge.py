"""The Edge under attack, a service behind it, and a well-behaved client beside the attacker."""

import collections
import concurrent.futures
import json
import os
import pathlib
import resource
import socket
import statistics
import string
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import grpc

STORE = "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f"
TENANT = STORE
SERVICE = "/mainstreet.store.v1.StoreService"
IDENTITY = "/mainstreet.identity.v1.AccessService"
STORE_PATH = f"/stores/{STORE}"
REPORT_PATH = f"/get_report/{STORE}"
MIB = 1 << 20


def make_key():
    """An API key in form; the stand-in for identity takes any."""
    body, checksum = "msk_test_" + "0" * 32, ""
    rest = zlib.crc32(body.encode())
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        checksum = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[digit] + checksum
    return f"{body}_{checksum}"


KEY = make_key()
# The fields every request here has.
FIELDS = f"Host: t\r\nX-API-Key: {KEY}\r\n"


def get(path):
    return f"GET {path} HTTP/1.1\r\n{FIELDS}\r\n".encode()


def text(number, value):
    """A field of a message, shorter than 128 bytes."""
    value = value if isinstance(value, bytes) else value.encode()
    return bytes([number << 3 | 2, len(value)]) + value


def varint(number, value):
    encoded = bytes([number << 3])
    while value > 127:
        encoded, value = encoded + bytes([value & 127 | 128]), value >> 7
    return encoded + bytes([value])


class Backend(grpc.GenericRpcHandler):
    """StoreSvc, as far as is needed, on bytes: a store is what was asked for, imports are read and reports have no end. And
    IdentitySvc, to which every caller is the same owner."""

    PIECE = b"\x0a\x08text/csv\x12\x80\x80\x04" + b"a" * 65536

    def __init__(self):
        self.imported = 0
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), [self])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def service(self, details):
        match details.method.removeprefix(f"{SERVICE}/"):
            case "GetStore":
                return grpc.unary_unary_rpc_method_handler(lambda request, _: request)
            case "CreateStore":
                return grpc.unary_unary_rpc_method_handler(lambda request, _: b"")
            case "ImportPolls":
                return grpc.stream_unary_rpc_method_handler(self._import)
            case "DownloadReport":
                return grpc.unary_stream_rpc_method_handler(self._report)
            case _ if details.method.startswith(IDENTITY):
                return self._identity(details.method.removeprefix(f"{IDENTITY}/"))
            case _ if details.method == "/grpc.health.v1.Health/Watch":
                return grpc.unary_stream_rpc_method_handler(self._health)
        return None

    def _identity(self, method):
        ends = varint(1, int(time.time()) + 3600)
        claims = text(1, TENANT) + text(2, "hostile") + text(3, "owner") + text(6, ends)
        match method:
            case "IssueServicePrincipal":
                return grpc.unary_unary_rpc_method_handler(lambda *_: text(1, "v1.test.edge.none") + text(2, ends))
            case "ExchangeCredential":
                answer = text(1, "v1.test.owner.none") + text(2, ends) + text(3, claims)
                return grpc.unary_unary_rpc_method_handler(lambda *_: answer)
            case "WatchRevocations":
                return grpc.unary_stream_rpc_method_handler(self._revocations)
        return None

    def _revocations(self, _, context):
        while context.is_active():
            yield varint(2, 1)
            time.sleep(0.5)

    def _import(self, pieces, _):
        self.imported = 0
        for piece in pieces:
            self.imported += len(piece)
        return b"\x08\x01"

    def _report(self, _, context):
        while context.is_active():
            yield self.PIECE

    def _health(self, _, context):
        ended = threading.Event()
        context.add_callback(ended.set)
        yield b"\x08\x01"
        ended.wait()

    def stop(self):
        self.server.stop(0).wait()


class Edge:
    """The program itself, on a port of its own."""

    def __init__(self, backend, **settings):
        raise_descriptors()
        self.directory = tempfile.TemporaryDirectory(prefix="hostile-http-")
        ready = pathlib.Path(self.directory.name, "ready.json")
        settings = {
            "listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "store_target": f"127.0.0.1:{backend.port}",
            "identity_target": f"127.0.0.1:{backend.port}", "service_secret": "hostile", "limits_shared": "false",
            # What each tenant may is not what is tested here.
            **{f"limits_{name}": "10000000" for name in ("query", "write", "ingest")}, **settings,
        }
        environment = {f"MAINSTREET_EDGE_{name}".upper(): value for name, value in settings.items()}
        self.log = pathlib.Path(self.directory.name, "log")
        self.process = subprocess.Popen(
            [pathlib.Path(os.environ["MAINSTREET_BIN"], "Edge"), "serve", "--ready-file", ready],
            env=os.environ | environment, stderr=self.log.open("w"))
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.01)
        host, port = json.loads(ready.read_text())["http"].rsplit(":", 1)
        self.address = (host, int(port))

    def connect(self, first=b"", receive_buffer=None, timeout=10):
        """A socket on which something has been sent."""
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(timeout)
        connection.connect(self.address)
        connection.sendall(first)
        return connection

    def memory(self, what="VmRSS"):
        """In MiB; `VmHWM` is the most since `forget_peak`."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"no {what} in the status of the Edge")

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()


def raise_descriptors():
    """As far as the system lets us; the Edge does the same for itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Bystander:
    """Measures while an attack goes on: what another client sees of it, and how much memory it takes, which is to be less
    than `memory_mib`."""

    def __init__(self, edge, name, memory_mib, rows):
        self.edge, self.name, self.memory_mib, self.rows = edge, name, memory_mib, rows
        self.endings = collections.Counter()
        self.note = ""

    def ended(self, how):
        """One attack met its end."""
        self.endings[str(how)] += 1

    def __enter__(self):
        self.edge.forget_peak()
        self.before = self.edge.memory()
        host, port = self.edge.address
        self.client = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).with_name("bystander.py"), host, str(port), STORE_PATH, STORE, KEY],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.client.stdout.readline() == "ready\n", self.client.communicate("enough\n")
        return self

    def __exit__(self, kind, *_):
        output, _ = self.client.communicate("enough\n", timeout=60)
        if kind is not None:
            return
        assert self.edge.process.poll() is None, self.edge.log.read_text()[-2000:]
        seen = json.loads(output)
        assert seen["failure"] is None, f"another client's request failed: {seen['failure']}"
        times, peak = seen["times"], self.edge.memory("VmHWM")
        centiles = statistics.quantiles(times, n=100) if len(times) > 1 else [0] * 99
        self.rows.append([
            self.name, str(sum(self.endings.values())), ", ".join(sorted(self.endings)) + self.note,
            f"{self.before:.1f} → {peak:.1f}", str(len(times)), f"{centiles[49]:.1f}", f"{centiles[98]:.1f}",
            f"{max(times, default=0):.1f}",
        ])
        assert peak - self.before < self.memory_mib


def answers(connection, most=1 << 20):
    """The statuses of all answers until the connection ends; "open" at the end when it does not."""
    received = b""
    try:
        while len(received) < most and (piece := connection.recv(65536)):
            received += piece
        ending = []
    except ConnectionResetError:
        ending = []
    except TimeoutError:
        ending = ["open"]
    connection.close()
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]] + ending
