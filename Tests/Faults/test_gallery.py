"""Each way in which a database fails its service: what the service's caller is told, and what the operator reads in the log.

StoreSvc itself, called by grpcio. Whatever it says, no password is in it.
"""

import json
import os
import re
import subprocess

import grpc
import pytest

from contract import message, principal
from contract import store as rpc
from harness import API_KEY, BIN, TENANT, Cluster, Database, Process, eventually, identity_environment, psql

V1 = "mainstreet.store.v1."
PASSWORD = "correct-horse-battery"


class Store:
    """StoreSvc on a cluster of its own, where its role needs its password."""

    def __init__(self, folder, admin_url):
        # Elsewhere, so that it outlives what happens here.
        self.identity_database = Database(admin_url)
        self.identity = Process(folder, "IdentitySvc", identity_environment(self.identity_database))
        self.identity.command("migrate")
        self.identity.command("seed-tenant", "--id", TENANT, "--name", "Faults", "--api-key", API_KEY)
        self.identity.start()
        self.cluster = Cluster("-c", "fsync=off")
        self.database = Database(self.cluster.admin_url)
        self.cluster.query(f"ALTER ROLE mainstreet_store PASSWORD '{PASSWORD}'")
        rules = self.cluster.data / "pg_hba.conf"
        rules.write_text("local all mainstreet_store scram-sha-256\n" + rules.read_text())
        self.cluster.query("SELECT pg_reload_conf()")
        self.process = Process(folder, "StoreSvc", self.environment())
        self.channels = []

    def environment(self, password=PASSWORD, role="mainstreet_store", options=""):
        return {
            "MAINSTREET_STORE_DATABASE_URL": f"{self.database.url(role)}&password={password}{options}",
            "MAINSTREET_STORE_OWNER_DATABASE_URL": self.database.url("mainstreet_store_owner"),
            "MAINSTREET_STORE_GRPC_LISTEN": "127.0.0.1:0",
            "MAINSTREET_STORE_IDENTITY_TARGET": self.identity.addresses["grpc"],
            "MAINSTREET_STORE_LOG_LEVEL": "debug",
        }

    def migrate(self):
        environment = {**os.environ, **self.process.environment}
        subprocess.run([BIN / "StoreSvc", "migrate"], env=environment, check=True, capture_output=True)

    def start(self, **changes):
        self.process.environment = self.environment(**changes)
        self.process.start()
        self.process.wait_until_ready()
        return self

    def channel(self):
        # A channel of its own has a connection of its own.
        number = ("grpc.channel_id", len(self.channels))
        self.channels.append(grpc.insecure_channel(self.process.addresses["grpc"], options=[number]))
        return self.channels[-1]

    @property
    def owner(self):
        """The metadata of calls that act for the tenant."""
        return principal(self)

    def failed_start(self, **changes):
        """The line that a program says when it cannot start, which is its last."""
        done = subprocess.run(
            [BIN / "StoreSvc", "serve"],
            env={"PATH": os.environ["PATH"], **self.environment(**changes)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 1
        assert PASSWORD not in done.stderr and "wrong-horse" not in done.stderr
        return json.loads(done.stderr.splitlines()[-1])

    def lines(self):
        return [json.loads(line) for line in self.process.log.read_text().splitlines()]

    def logged(self, message, **also):
        """The first line with this message, of which all the rest is true too."""

        def find():
            for line in self.lines():
                if line["msg"] == message and all(re.search(value, line.get(key, "")) for key, value in also.items()):
                    return line
            return None

        return eventually(find, timeout=10, what=f"a line {message!r} with {also}")

    def end(self):
        for channel in self.channels:
            channel.close()
        self.process.stop()
        self.identity.stop()
        self.identity_database.drop()
        log = self.process.log.read_text() if self.process.log.exists() else ""
        self.cluster.destroy()
        assert PASSWORD not in log


@pytest.fixture
def store(tmp_path, admin_url):
    store = Store(tmp_path, admin_url)
    yield store
    store.end()


def create(store, channel, **fields):
    request = message(V1 + "CreateStoreRequest", name="Loop Pizza", **fields)
    return rpc(channel, "CreateStore")(request, metadata=store.owner, timeout=30)


def list_stores(store, channel):
    return rpc(channel, "ListStores")(message(V1 + "ListStoresRequest"), metadata=store.owner, timeout=30)


def told(error):
    """The status and, of ErrorInfo, the reason; none of it in words of Postgres."""
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
    reason = re.search(rb"google\.rpc\.ErrorInfo\x12.\n.([A-Z_]+)", details, re.DOTALL)
    assert not re.search("sql|postgres|relation|pg_|/", error.details(), re.IGNORECASE), error.details()
    return error.code().name, reason and reason[1].decode(), error.details()


def failure(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return told(caught.value)


def caption(failure):
    return f"{failure[0]} {failure[1]}: {failure[2]}"


def shown(line):
    """Without what every line has, and without paths that are different each time."""
    rest = " ".join(f"{key}={value}" for key, value in line.items() if key not in ("ts", "service", "level", "msg"))
    return re.sub(r'"?/[^" ]*/data/', "…/", f"{line['level']} {line['msg']} {rest}".rstrip())


def test_database_down(store, show):
    store.migrate()
    channel = store.start().channel()
    list_stores(store, channel)
    store.cluster.kill()
    error = failure(list_stores, store, channel)
    assert error[:2] == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
    line = store.logged("cannot connect to Postgres", reason="No such file|refused")
    assert line["level"] == "error"
    show("database down", caption(error), shown(line))
    store.cluster.start()
    back = store.logged("connected to Postgres again")
    show("database back", "OK", shown(back))
    list_stores(store, channel)
    show("database down at start", "-", shown(down_at_start(store)))


def down_at_start(store):
    store.cluster.kill()
    line = store.failed_start()
    assert "the database of --database-url (MAINSTREET_STORE_DATABASE_URL) cannot be used" in line["msg"]
    return line


def test_wrong_password(store, show):
    store.migrate()
    line = store.failed_start(password="wrong-horse")
    assert 'password authentication failed for user "mainstreet_store"' in line["msg"]
    show("wrong password at start", "-", shown(line))
    channel = store.start().channel()
    list_stores(store, channel)
    store.cluster.query("ALTER ROLE mainstreet_store PASSWORD 'another-horse'")
    store.cluster.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'mainstreet_store'")
    error = failure(list_stores, store, channel)
    assert error[:2] == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
    line = store.logged("cannot connect to Postgres", reason="password authentication failed")
    show("password changed while it serves", caption(error), shown(line))


def test_missing_role(store, show):
    store.migrate()
    line = store.failed_start(role="nobody_here")
    assert 'role "nobody_here" does not exist' in line["msg"]
    show("missing role at start", "-", shown(line))


def test_missing_migration(store, show):
    line = store.failed_start()
    assert "0001_stores_hours_polls_reports" in line["msg"] and "migrate" in line["msg"]
    show("missing migration at start", "-", shown(line))


def test_constraint_violation(store, show):
    store.migrate()
    channel = store.start().channel()
    create(store, channel, external_id="loop-1")
    error = failure(create, store, channel, external_id="loop-1")
    assert error[:2] == ("ALREADY_EXISTS", "STORE_EXTERNAL_ID_TAKEN")
    line = store.logged("statement failed", sqlstate="23505")
    assert line["level"] == "debug" and "loop-1" not in line["reason"]
    show("constraint violation", caption(error), shown(line))


class Held:
    """A table nobody else can use for as long as psql holds it."""

    def __init__(self, store, table):
        self._store = store
        self._table = table

    def __enter__(self):
        command = ["psql", "-Xq", self._store.database.url("postgres")]
        self._session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self._session.stdin.write(f"BEGIN; LOCK TABLE {self._table};\n")
        self._session.stdin.flush()
        held = f"SELECT count(*) FROM pg_locks WHERE relation = '{self._table}'::regclass AND mode = 'AccessExclusiveLock' AND granted"
        eventually(lambda: self._store.database.query(held) == "1", what="the lock")

    def __exit__(self, *_):
        self._session.kill()
        self._session.wait()


def test_statement_timeout(store, show):
    store.migrate()
    channel = store.start(options="&options=-c%20statement_timeout%3D600").channel()
    list_stores(store, channel)
    with Held(store, "store.stores"):
        error = failure(list_stores, store, channel)
    assert error[:2] == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    line = store.logged("slow statement", error="57014 canceling statement due to statement timeout")
    assert line["level"] == "warning"
    show("statement timeout", caption(error), shown(line))


def test_lock_timeout(store, show):
    store.migrate()
    channel = store.start().channel()
    list_stores(store, channel)
    with Held(store, "store.stores"):
        error = failure(list_stores, store, channel)
    assert error[:2] == ("ABORTED", "CONFLICT")
    show("lock timeout", caption(error), shown(store.logged("slow statement", error="55P03 canceling statement due to lock timeout")))


def test_pool_full(store, show):
    """Eight transactions wait for a lock, a thousand for their turn: whoever comes then is told at once."""
    store.migrate()
    store.start()
    one = create(store, store.channel())
    request = message(V1 + "DeleteStoreRequest", store_id=one.store_id)
    with Held(store, "store.stores"):
        calls, owner = [], store.owner
        for _ in range(6):
            delete = rpc(store.channel(), "DeleteStore")
            calls += [delete.future(request, metadata=owner, timeout=30) for _ in range(200)]
        waited = store.logged("too many wait for Postgres", reason="no connection came free in time")
    errors = [told(error) for error in (call.exception(timeout=30) for call in calls) if error]
    kinds = {error[:2]: error for error in errors}
    assert ("RESOURCE_EXHAUSTED", "OVERLOADED") in kinds, {error[:2] for error in errors}
    line = store.logged("too many wait for Postgres", reason="1000 callers")
    assert line["level"] == "warning"
    show("pool full", caption(kinds["RESOURCE_EXHAUSTED", "OVERLOADED"]), shown(line))
    late = kinds.get(("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"))
    assert late, "nobody waited in vain"
    show("no turn in time", caption(late), shown(waited))
