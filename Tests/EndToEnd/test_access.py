"""Who may call what, for every rpc and route of the contract; and what they see of tenants that are not theirs."""

import json
import time

import grpc
import pytest

from contract import call, exchanged, message, metadata
from harness import API_KEY, psql
from surface import PEOPLE, ids_in, filled, path, rpcs

SECRET = "Known to Loop Pizza alone"
ROUTES = [(rpc, verb, template) for rpc in rpcs() for verb, template in rpc.routes]
CLOSED = [rpc for rpc in rpcs() if not rpc.is_public]
# Everybody who is somebody may: there is no wrong role.
FOR_ALL = {"GetCaller", "ChangePassword"}


def named(rpc_or_text):
    return str(rpc_or_text).strip("/").replace("/", ".")


class People:
    """A tenant with somebody of each role in it, signed in."""

    def __init__(self, platform, name):
        self.platform, self.name = platform, name
        self.tokens = {}
        registration = {"name": name, **self.login("owner")}
        registered = self.json("POST", "/auth/register", registration, expect=201)
        self.tokens["owner"] = registered["token"]
        self.tenant = registered["studio"]["id"]
        for role in PEOPLE[1:]:
            invitation = {"email": self.login(role)["email"], "role": role}
            token = self.json("POST", "/invitations", invitation, token="owner", expect=201)["token"]
            taken = {"token": token, "password": self.login(role)["password"], "name": role}
            self.tokens[role] = self.json("POST", "/invitations/accept", taken, expect=201)["token"]

    def login(self, role):
        return {"email": f"{role}@{self.name.lower()}.example", "password": "correct horse battery"}

    def key(self, *scopes):
        return self.json("POST", "/api-keys", {"name": "k", "scopes": scopes}, token="owner", expect=201)["key"]

    def json(self, verb, target, value=None, token=None, expect=200):
        shown = {"Authorization": f"Bearer {self.tokens[token]}"} if token else {"X-API-Key": None}
        body = None if value is None else json.dumps(value).encode()
        headers = {"Content-Type": "application/json", **shown}
        status, _, answer = self.platform.request(verb, target, body, headers)
        assert status == expect, (verb, target, status, answer[:2000])
        return json.loads(answer) if answer else None

    def principal(self, role):
        return metadata(exchanged(self.platform.identity, access_token=self.tokens[role]).principal)


@pytest.fixture(scope="module")
def people(shared_platform):
    return People(shared_platform, "Loop")


@pytest.fixture(scope="module")
def useless_key(people):
    """A key that may do nothing there is."""
    return people.key("nothing.read")


@pytest.fixture(scope="module")
def channels(shared_platform):
    with (
        grpc.insecure_channel(shared_platform.store.addresses["grpc"]) as store,
        grpc.insecure_channel(shared_platform.identity.addresses["grpc"]) as identity,
    ):
        yield {"store": store, "identity": identity}


# ── Every route ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("rpc", "verb", "template"), [one for one in ROUTES if not one[0].is_public], ids=named)
def test_a_route_is_closed(shared_platform, people, useless_key, rpc, verb, template):
    def ask(**headers):
        body = b"{}" if verb in ("POST", "PUT", "PATCH") else None
        return shared_platform.request(verb, path(template), body, {"X-API-Key": None, **headers})

    status, headers, body = ask()
    assert (status, json.loads(body)["code"]) == (401, "UNAUTHENTICATED")
    assert headers["www-authenticate"] == 'Bearer realm="mainstreet"'

    if rpc.wrong_role is None:
        assert rpc.method in FOR_ALL
    else:
        status, headers, body = ask(Authorization=f"Bearer {people.tokens[rpc.wrong_role]}")
        assert (status, json.loads(body)["code"]) == (403, "PERMISSION_DENIED"), body
        assert json.loads(body)["roles"] == ",".join(rpc.roles)
        assert 'error="insufficient_scope"' in headers["www-authenticate"]

    if "*" not in rpc.scopes:
        status, _, body = ask(**{"X-API-Key": useless_key})
        assert (status, json.loads(body)["code"]) == (403, "PERMISSION_DENIED"), body


@pytest.mark.parametrize("rpc", CLOSED, ids=named)
def test_an_rpc_is_closed(channels, people, shared_platform, useless_key, rpc):
    """The same, behind the Edge's back."""
    stub = call(channels[rpc.program], rpc.service, rpc.method)
    request = message(rpc.descriptor.input_type.full_name)

    def code(principal):
        answer = stub(iter([request]) if rpc.descriptor.client_streaming else request, metadata=principal, timeout=30)
        with pytest.raises(grpc.RpcError) as caught:
            list(answer) if rpc.descriptor.server_streaming else answer
        return caught.value.code().name

    assert called(code, ()) == "UNAUTHENTICATED"
    if rpc.wrong_role is not None:
        assert called(code, people.principal(rpc.wrong_role)) == "PERMISSION_DENIED"
    if "*" not in rpc.scopes:
        key = metadata(exchanged(shared_platform.identity, api_key=useless_key).principal)
        assert called(code, key) == "PERMISSION_DENIED"


def called(code, principal):
    """Unary stubs raise when they are called, the others when they are read."""
    try:
        return code(principal)
    except grpc.RpcError as error:
        return error.code().name


# ── Every id ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def belongings(shared_platform, people):
    """What a tenant has: an id for each field of a request that names something."""
    store = people.json("POST", "/stores", {"name": SECRET, "externalId": "ours"}, token="owner", expect=201)
    poll = {"status": "active", "timestamp": time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() - 7200))}
    people.json("POST", f"/stores/{store['storeId']}/status", poll, token="owner", expect=201)
    report = people.json("POST", "/trigger_report", {}, token="owner", expect=201)["reportId"]
    members = people.json("GET", "/members", token="owner")["members"]
    invitation = {"email": "invited@loop.example", "role": "viewer"}
    invited = people.json("POST", "/invitations", invitation, token="owner", expect=201)["invitation"]
    key = people.json("POST", "/api-keys", {"name": SECRET}, token="owner", expect=201)["apiKey"]
    return {
        "store_id": store["storeId"],
        "store_ids": store["storeId"],
        "report_id": report,
        "job_id": report,
        "job_ids": report,
        "account_id": next(one["accountId"] for one in members if one["role"] == "viewer"),
        "invitation_id": invited["id"],
        "key_id": key["id"],
    }


# Fields that name something which is no tenant's own, or is what the caller itself is asked for.
NO_BELONGINGS = {"external_id", "tenant_id", "filter.tenant_id"}
# What names the tenant's store by the tenant's own name for it: to anybody else that is a store of theirs.
FILES = {
    "ImportPolls": b"store_id,status,timestamp_utc\nours,inactive,2025-06-14 10:00:00 UTC\n",
    "ImportBusinessHours": b"store_id,day,start_time_local,end_time_local\nours,0,09:00:00,12:00:00\n",
    "ImportTimezones": b"store_id,timezone_str\nours,Europe/Paris\n",
}
# To name a store that is not there is a mistake in the request, not in its address.
MISTAKEN = {"TriggerReport"}
# Rpcs that answer OK to an id they do not find: they do to all that is there, which is nothing.
NOTHING_FOUND = {"RecordPolls", "ListDeadJobGroups", "ListDeadJobs", "RedriveDeadJobs", "DeleteDeadJobs"}


def test_every_id_is_known(belongings):
    """A new field that names something has to be added to `belongings`, or this fails."""
    for rpc in rpcs():
        for field in ids_in(rpc.descriptor.input_type):
            assert field in NO_BELONGINGS or field.split(".")[-1] in belongings, f"{rpc.method}: {field}"


@pytest.mark.parametrize("rpc", [rpc for rpc in rpcs() if not rpc.is_public], ids=named)
def test_a_stranger_finds_and_changes_nothing(shared_platform, channels, people, stranger, belongings, rpc):
    stub = call(channels[rpc.program], rpc.service, rpc.method)
    shape = rpc.descriptor.input_type
    if rpc.descriptor.client_streaming:
        request = message(shape.full_name, content_type="text/csv", data=FILES[rpc.method])
    else:
        request = filled(shape, belongings)

    def outcome(principal):
        try:
            answer = stub(iter([request]) if rpc.descriptor.client_streaming else request, metadata=principal, timeout=60)
            answers = list(answer) if rpc.descriptor.server_streaming else [answer]
            return "OK", b"".join(one.SerializeToString() for one in answers)
        except grpc.RpcError as error:
            return error.code().name, error.details().encode()

    before = rows_of(shared_platform, people.tenant)
    code, told = outcome(stranger)
    assert rows_of(shared_platform, people.tenant) == before
    # What the request named may be named back; nothing else of the tenant's is.
    asked = request.SerializeToString()
    for kept in [SECRET, people.tenant, *belongings.values()]:
        assert kept.encode() not in told or kept.encode() in asked, (code, told)
    names_something = [field for field in ids_in(shape) if field not in NO_BELONGINGS]
    if names_something and "owner" in rpc.roles:
        expected = "OK" if rpc.method in NOTHING_FOUND else "INVALID_ARGUMENT" if rpc.method in MISTAKEN else "NOT_FOUND"
        assert code == expected, (code, told)
        if expected == "INVALID_ARGUMENT":
            assert b"there is no store" in told


@pytest.fixture(scope="module")
def stranger(shared_platform):
    """The owner of another tenant."""
    return People(shared_platform, "Other").principal("owner")


def test_the_ids_are_good(channels, people, belongings):
    """Its own people do find what strangers did not: what was asked for is there."""
    for rpc in rpcs():
        names_something = [field for field in ids_in(rpc.descriptor.input_type) if field not in NO_BELONGINGS]
        if names_something and rpc.method.startswith("Get") and "owner" in rpc.roles:
            stub = call(channels[rpc.program], rpc.service, rpc.method)
            stub(filled(rpc.descriptor.input_type, belongings), metadata=people.principal("owner"), timeout=30)


def tenant_tables(platform):
    """Tables with rows of tenants, partitions among them, by schema."""
    listed = platform.database.query(
        "SELECT table_schema || '.' || table_name FROM information_schema.columns"
        " WHERE column_name = 'tenant_id' AND table_schema IN ('store', 'identity')"
        " AND (table_schema, table_name) IN (SELECT schemaname, tablename FROM pg_tables) ORDER BY 1"
    )
    return listed.splitlines()


def rows_of(platform, tenant):
    """A digest of what the tenant has in each table. Jobs go on by themselves, and keys are seen in use."""
    tables = [name for name in tenant_tables(platform) if ".jobs_" not in name and not name.startswith("store.report")]
    tables = [name for name in tables if name not in ("identity.audit_events", "identity.api_keys")]
    queries = [
        f"SELECT '{name}', md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} t WHERE tenant_id = '{tenant}'"
        for name in tables
    ]
    queries.append(
        f"SELECT 'keys', md5(string_agg(concat(key_id, scopes, revoked_at, expires_at), '' ORDER BY key_id))"
        f" FROM identity.api_keys WHERE tenant_id = '{tenant}'"
    )
    digests = " UNION ALL ".join(queries)
    return platform.database.query(f"SELECT * FROM ({digests}) AS found (name, digest) WHERE digest <> ''")


@pytest.mark.parametrize("role", ["mainstreet_store", "mainstreet_identity"])
def test_a_service_without_a_tenant_sees_no_rows(shared_platform, people, belongings, role):
    platform = shared_platform
    schema = role.removeprefix("mainstreet_")
    tables = [name for name in tenant_tables(platform) if name.startswith(f"{schema}.")]
    # Not a place where a tenant's rows are kept, but that says which sessions and names there are; by functions alone.
    assert tables
    filled_tables = 0
    for table in tables:
        allowed = platform.database.query(f"SELECT has_table_privilege('{role}', '{table}', 'SELECT')") == "t"
        filled_tables += int(platform.database.query(f"SELECT count(*) FROM {table}")) > 0
        if allowed:
            assert psql(platform.database.url(role), f"SELECT count(*) FROM {table}") == "0", table
    assert filled_tables >= 3


def test_a_credential_is_shown_once_and_well(shared_platform):
    status, _, body = shared_platform.request("GET", "/stores", None, {"X-API-Key": API_KEY[:-1] + "x"})
    assert (status, json.loads(body)["code"]) == (401, "INVALID_API_KEY")
    both = {"X-API-Key": API_KEY, "authorization": "Bearer a.b.c"}
    assert shared_platform.request("GET", "/stores", None, both)[0] == 400
