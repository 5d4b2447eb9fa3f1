"""Starts the real executables against a real Postgres, for tests that look from outside only."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
import uuid
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MAINSTREET_BIN", ROOT / ".build/debug"))
PG_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
ROLES = ("store", "identity")
REAL_DATA = pathlib.Path(os.environ.get("MAINSTREET_DATA", ROOT.parent / "shared/data")) / "store-monitoring"
TENANT = "0190a0a0-0000-7000-8000-000000000001"
STRANGER = "0190a0a0-0000-7000-8000-00000000000f"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def api_key(seed):
    """A key in the documented form, made by nobody but us: 32 digits and the CRC-32 of what stands before it."""
    body = f"msk_test_{seed:k<32}"
    number, checksum = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        checksum = DIGITS[digit] + checksum
    return f"{body}_{checksum}"


API_KEY, STRANGERS_KEY = api_key("EndToEnd"), api_key("Stranger")
SECRETS = {"edge": "the-edge-knows-this"}
# Tests ask as fast as they can; those of the limits begin an Edge of their own.
NO_LIMITS = {f"MAINSTREET_EDGE_LIMITS_{name}": "10000000" for name in ("INGEST", "QUERY", "AUTH", "WRITE")}


def eventually(condition, timeout=30, what="the condition"):
    """Waits for a truthy answer; a test that waits says what for."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {timeout} s")


class Cluster:
    """A Postgres cluster of its own, for tests that kill it."""

    def __init__(self, *options):
        """`options`: as the server takes them on its command line."""
        self.options = options
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="ms-"))
        os.chmod(self.home, 0o711)
        self.data = self.home / "data"
        self.data.mkdir()
        if os.getuid() == 0:
            postgres = pwd.getpwnam("postgres")
            os.chown(self.data, postgres.pw_uid, postgres.pw_gid)
        self.make()
        self.start()

    def make(self):
        self._as_postgres(PG_BIN / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync")

    @property
    def admin_url(self):
        return f"postgresql:///postgres?host={self.data}&user=postgres"

    def start(self):
        """Returns once connections are accepted, recovery from a crash included."""
        options = " ".join([f"-k {self.data} -c listen_addresses= -c max_connections=200", *self.options])
        self._as_postgres(PG_BIN / "pg_ctl", "-D", self.data, "-w", "-l", self.data / "log", "-o", options, "start")

    def query(self, sql):
        return psql(self.admin_url, sql)

    def kill(self):
        """kill -9 of the postmaster and all its children, as when the machine loses power."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        # Stopped, it cannot have another child while we count them.
        os.kill(postmaster, signal.SIGSTOP)
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, text=True, check=False
        ).stdout.split()
        pids = [postmaster, *map(int, children)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(self._runs(pid) for pid in pids), what="the death of Postgres")
        # Where nobody reaps orphans, the dead postmaster's number stays taken and the next would not start.
        for lock in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (self.data / lock).unlink(missing_ok=True)

    @staticmethod
    def _runs(pid):
        with contextlib.suppress(OSError):
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        return False

    def destroy(self):
        with contextlib.suppress(Exception):
            self._as_postgres(PG_BIN / "pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        shutil.rmtree(self.home, ignore_errors=True)

    @staticmethod
    def _as_postgres(*command):
        prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run(prefix + [str(part) for part in command], check=True, cwd="/", capture_output=True)


class Database:
    """A fresh database with the roles and schemas the services expect."""

    def __init__(self, admin_url):
        self.admin_url = admin_url
        self.name = f"e2e_{uuid.uuid4().hex[:12]}"
        psql(admin_url, f"CREATE DATABASE {self.name}")
        self.make_schemas()

    def make_schemas(self):
        subprocess.run(
            ["psql", "-Xq", self.url("postgres")]
            + [part for role in ROLES for part in ("-v", f"{role}_owner_password=x", "-v", f"{role}_password=x")]
            + ["-f", str(ROOT / "deploy/postgres/roles.sql")],
            check=True,
            capture_output=True,
        )

    def url(self, user):
        host = urllib.parse.parse_qs(urllib.parse.urlparse(self.admin_url).query)["host"][0]
        return f"postgresql:///{self.name}?host={host}&user={user}"

    def query(self, sql):
        return psql(self.url("postgres"), sql)

    def drop(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            psql(self.admin_url, f"DROP DATABASE {self.name} WITH (FORCE)")


def psql(url, sql):
    done = subprocess.run(["psql", "-XqAt", url, "-c", sql], check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Process:
    """One of our executables. Its ports are chosen by the kernel and kept over restarts."""

    def __init__(self, directory, executable, environment):
        self.executable = executable
        self.environment = environment
        self.ready_file = pathlib.Path(directory) / f"{executable}.ready"
        self.log = pathlib.Path(directory) / f"{executable}.log"
        self.addresses = {}
        self.process = None

    def start(self, *arguments, files=None, **environment):
        """`files`: how many it may open."""
        limits = (files, files)
        self.ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [BIN / self.executable, "serve", "--ready-file", self.ready_file, *arguments],
                env={**os.environ, **self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits)),
            )
        eventually(
            lambda: self.ready_file.exists() or self.process.poll() is not None,
            what=f"{self.executable} ready; {self.log.read_text()[-2000:]}",
        )
        assert self.process.poll() is None, f"{self.executable} ended: {self.log.read_text()[-2000:]}"
        self.addresses = json.loads(self.ready_file.read_text())
        return self

    def command(self, *arguments):
        """Runs another of its commands to the end; what it printed."""
        done = subprocess.run(
            [BIN / self.executable, *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (self.executable, arguments[:1], done.stderr[-2000:])
        return done.stdout

    def wait_until_ready(self):
        eventually(
            lambda: http_get(self.addresses["admin"], "/readyz")[0] == 200,
            what=f"{self.executable} ready to take work",
        )

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, timeout=30):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(timeout)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(25)
            except subprocess.TimeoutExpired:
                self.kill()

    def metric(self, name):
        """The sum of a metric's series on the admin port."""
        status, _, body = http_get(self.addresses["admin"], "/metrics")
        assert status == 200
        lines = [line for line in body.decode().splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def identity_environment(database):
    """IdentitySvc on a database, where the Edge of tests is known."""
    secrets = [f"{name}={hashlib.sha256(secret.encode()).hexdigest()}" for name, secret in SECRETS.items()]
    return {
        "MAINSTREET_IDENTITY_DATABASE_URL": database.url("mainstreet_identity"),
        "MAINSTREET_IDENTITY_OWNER_DATABASE_URL": database.url("mainstreet_identity_owner"),
        "MAINSTREET_IDENTITY_GRPC_LISTEN": "127.0.0.1:0",
        "MAINSTREET_IDENTITY_KEY_ENCRYPTION_KEY": base64.b64encode(b"0123456789abcdef" * 2).decode(),
        "MAINSTREET_IDENTITY_SERVICE_SECRETS": ",".join(secrets),
        "MAINSTREET_IDENTITY_SIGNUP_OPEN": "true",
        "MAINSTREET_IDENTITY_API_KEY_ENVIRONMENT": "test",
    }


def edge_environment(store="127.0.0.1:1", identity="127.0.0.1:1"):
    """An Edge in front of what listens there, or of nothing."""
    return {
        "MAINSTREET_EDGE_LISTEN": "127.0.0.1:0",
        "MAINSTREET_EDGE_STORE_TARGET": store,
        "MAINSTREET_EDGE_IDENTITY_TARGET": identity,
        "MAINSTREET_EDGE_SERVICE_SECRET": SECRETS["edge"],
        **NO_LIMITS,
    }


class Platform:
    """IdentitySvc, StoreSvc and Edge on a fresh database, with two tenants that have a key each."""

    def __init__(self, admin_url):
        self.directory = tempfile.TemporaryDirectory(prefix="mainstreet-e2e-")
        self.database = Database(admin_url)
        self.identity = Process(self.directory.name, "IdentitySvc", identity_environment(self.database))
        self.identity.command("migrate")
        for tenant, key in ((TENANT, API_KEY), (STRANGER, STRANGERS_KEY)):
            self.seed_tenant(tenant, key)
        self.identity.start()
        self.store = Process(self.directory.name, "StoreSvc", self._store_environment())
        self.migrate()
        self.store.start()
        self.edge = Process(self.directory.name, "Edge", self._edge_environment()).start()
        for process in (self.identity, self.store, self.edge):
            process.wait_until_ready()

    def seed_tenant(self, tenant, key):
        self.identity.command("seed-tenant", "--id", tenant, "--name", "End to end", "--api-key", key)

    def _store_environment(self):
        return {
            "MAINSTREET_STORE_DATABASE_URL": self.database.url("mainstreet_store"),
            "MAINSTREET_STORE_OWNER_DATABASE_URL": self.database.url("mainstreet_store_owner"),
            "MAINSTREET_STORE_GRPC_LISTEN": "127.0.0.1:0",
            "MAINSTREET_STORE_IDENTITY_TARGET": self.identity.addresses["grpc"],
            "MAINSTREET_STORE_SEALING_SECRET": "what only the instances of StoreSvc know, 32 bytes or more",
        }

    def _edge_environment(self):
        return edge_environment(self.store.addresses["grpc"], self.identity.addresses["grpc"])

    def migrate(self):
        self.store.command("migrate")

    def restart_store(self):
        """Starts StoreSvc again where the Edge knows it, and waits for the Edge to notice."""
        self.store.start("--grpc-listen", self.store.addresses["grpc"])
        eventually(lambda: self.request("GET", "/stores")[0] == 200, timeout=3, what="the Edge reaching StoreSvc")

    def request(self, method, path, body=None, headers=None):
        """With the tenant's key, unless the request shows another credential, or `None` in its place."""
        shown = {"X-API-Key": API_KEY, **(headers or {})}
        if "Authorization" in shown:
            del shown["X-API-Key"]
        shown = {name: value for name, value in shown.items() if value is not None}
        return http_request(self.edge.addresses["http"], method, path, body, shown)

    def json(self, method, path, value=None, expect=200):
        body = None if value is None else json.dumps(value).encode()
        status, _, answer = self.request(method, path, body, {"Content-Type": "application/json"})
        assert status == expect, (status, answer[:2000])
        return json.loads(answer) if answer else None

    def import_csv(self, kind, content):
        status, _, answer = self.request("POST", f"/imports/{kind}", content, {"Content-Type": "text/csv"})
        assert status == 200, (status, answer[:2000])
        return json.loads(answer)

    def report(self, body=None, timeout=120):
        """Triggers a report and waits for its CSV."""
        report_id = self.json("POST", "/trigger_report", body, expect=201)["reportId"]
        return self.download(report_id, timeout)

    def download(self, report_id, timeout=120):
        def ready():
            status, headers, body = self.request("GET", f"/get_report/{report_id}")
            assert status == 200, (status, body)
            if headers["content-type"].startswith("text/csv"):
                return body
            assert json.loads(body)["status"] == "Running", body
            return None

        return eventually(ready, timeout, f"report {report_id}")

    def stop(self):
        """Ends everything; shows what the programs complained of, for when the test failed."""
        for process in (self.identity, self.store, self.edge):
            print(*(line for line in process.log.read_text().splitlines() if '"level":"error"' in line), sep="\n")
        for process in (self.edge, self.store, self.identity):
            process.stop()
        self.database.drop()
        self.directory.cleanup()


def http_request(address, method, path, body=None, headers=None, timeout=120):
    """One HTTP/1.1 request: status, headers by lower-case name, body."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def http_get(address, path):
    return http_request(address, "GET", path)
