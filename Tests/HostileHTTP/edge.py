"""The Edge under attack, a service behind it, and a well-behaved client beside the attacker."""

import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import grpc

STORE = "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f"
TENANT = STORE
SERVICE = "/mainstreet.store.v1.StoreService"
STORE_PATH = f"/stores/{STORE}"
REPORT_PATH = f"/get_report/{STORE}"
MIB = 1 << 20


class Backend(grpc.GenericRpcHandler):
    """StoreSvc, as far as is needed, on bytes: a store is what was asked for, imports are read and reports have no end."""

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
            case _ if details.method == "/grpc.health.v1.Health/Watch":
                return grpc.unary_stream_rpc_method_handler(self._health)
        return None

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
            "development_principal": f"v0;tenant={TENANT};subject=hostile;roles=owner", **settings,
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
    """Asks one thing after the other while an attack goes on, and has every answer checked. What the attack does to the
    Edge's memory is bounded by `memory_mib`."""

    def __init__(self, edge, name, memory_mib, rows):
        self.edge, self.name, self.memory_mib, self.rows = edge, name, memory_mib, rows
        self.times, self.failure = [], None
        self.endings = collections.Counter()
        self.note = ""

    def ended(self, how):
        """One attack met its end."""
        self.endings[str(how)] += 1

    def __enter__(self):
        self.edge.forget_peak()
        self.before = self.edge.memory()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()
        return self

    def _ask(self):
        try:
            while not self.stopped.is_set():
                # On a connection of its own: that others can still get one is part of the matter.
                client = http.client.HTTPConnection(*self.edge.address, timeout=10)
                for _ in range(20):
                    start = time.perf_counter()
                    client.request("GET", STORE_PATH)
                    answer = client.getresponse()
                    body = json.loads(answer.read())
                    self.times.append((time.perf_counter() - start) * 1000)
                    assert answer.status == 200 and body["storeId"] == STORE, body
                    # A person would not ask so often; and the attack is to have the machine to itself, nearly.
                    time.sleep(0.005)
                client.close()
        except Exception as error:  # noqa: BLE001: whatever it is, the test is to see it.
            self.failure = error

    def __exit__(self, kind, *_):
        if kind is None and not self.times:
            time.sleep(0.2)
        self.stopped.set()
        self.thread.join()
        if kind is not None:
            return
        assert self.edge.process.poll() is None, self.edge.log.read_text()[-2000:]
        assert self.failure is None, f"another client's request failed: {self.failure!r}"
        peak = self.edge.memory("VmHWM")
        centiles = statistics.quantiles(self.times, n=100) if len(self.times) > 1 else self.times * 99
        self.rows.append([
            self.name, str(sum(self.endings.values())), ", ".join(sorted(self.endings)) + self.note,
            f"{self.before:.1f} → {peak:.1f}", str(len(self.times)), f"{centiles[49]:.1f}", f"{centiles[98]:.1f}",
            f"{max(self.times):.1f}",
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
