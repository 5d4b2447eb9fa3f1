"""The official grpcio client calls StoreSvc; it shares nothing with us but the protos."""

import functools
import json
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from contract import call, connect, message, pool, principal, store, strangers_principal
from harness import eventually, http_get

V1 = "mainstreet.store.v1."


@pytest.fixture(scope="module")
def channel(shared_platform):
    with connect(shared_platform) as channel:
        yield channel


@pytest.fixture(scope="module")
def owner(shared_platform):
    """The metadata of calls that act for the tenant."""
    return principal(shared_platform)


def create(channel, owner, name="Loop Pizza", **fields):
    return store(channel, "CreateStore")(message(V1 + "CreateStoreRequest", name=name, **fields), metadata=owner)


def failure(stub, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        stub(*arguments, **options)
    return caught.value


def test_a_store_is_created_read_and_listed(channel, owner):
    created = create(channel, owner, "Loop Pizza", timezone="America/New_York", external_id="grpc-1")
    read = store(channel, "GetStore")(message(V1 + "GetStoreRequest", store_id=created.store_id), metadata=owner)
    assert (read.name, read.timezone, read.external_id) == ("Loop Pizza", "America/New_York", "grpc-1")
    listed = store(channel, "ListStores")(message(V1 + "ListStoresRequest", limit=100), metadata=owner)
    assert created.store_id in [one.store_id for one in listed.stores]


def test_a_csv_is_streamed_in_and_a_report_streamed_out(channel, owner):
    lines = [b"store_id,status,timestamp_utc\n"]
    lines += [b"g%d,active,2023-01-25 %02d:00:00 UTC\n" % (store, hour) for store in range(20) for hour in range(18)]
    parts = (message("google.api.HttpBody", content_type="text/csv", data=line) for line in lines)
    summary = store(channel, "ImportPolls")(parts, metadata=owner)
    assert (summary.accepted, summary.rejected, summary.stores_created) == (360, 0, 20)

    triggered = store(channel, "TriggerReport")(message(V1 + "TriggerReportRequest"), metadata=owner)

    def csv():
        request = message(V1 + "DownloadReportRequest", report_id=triggered.report_id)
        parts = list(store(channel, "DownloadReport")(request, metadata=owner))
        return b"".join(part.data for part in parts) if parts[0].content_type.startswith("text/csv") else None

    rows = eventually(csv, what="the report").decode().splitlines()
    assert "g7,60,24,168,0,0,0" in rows


def test_health_is_checked_without_a_principal(channel):
    check = call(channel, "grpc.health.v1.Health", "Check")
    for service in ("", "mainstreet.store.v1.StoreService"):
        assert check(message("grpc.health.v1.HealthCheckRequest", service=service)).status == 1
    error = failure(check, message("grpc.health.v1.HealthCheckRequest", service="no.such.Service"))
    assert error.code() == grpc.StatusCode.NOT_FOUND


def test_health_is_listed_for_every_service(channel):
    listed = call(channel, "grpc.health.v1.Health", "List")(message("grpc.health.v1.HealthListRequest"))
    assert {name: health.status for name, health in listed.statuses.items()} == {
        "": 1,
        "mainstreet.jobs.v1.JobsService": 1,
        "mainstreet.store.v1.StoreService": 1,
    }


def test_a_watch_is_told_of_a_shutdown_and_does_not_hold_it_up(platform):
    with connect(platform) as channel:
        watch = call(channel, "grpc.health.v1.Health", "Watch")(message("grpc.health.v1.HealthCheckRequest"))
        assert next(watch).status == 1
        began = time.monotonic()
        platform.store.process.terminate()
        assert next(watch).status == 2
        with pytest.raises(grpc.RpcError) as ended:
            next(watch)
        assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
        assert ended.value.details() == "the server is shutting down"
        assert platform.store.process.wait(25) == 0
        # Without a deadline the watch would have had all of the grace, 20 s.
        assert time.monotonic() - began < 15


def test_reflection_tells_the_official_client_the_contract(channel, owner):
    database = ProtoReflectionDescriptorDatabase(channel)
    assert database.get_services() == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "mainstreet.jobs.v1.JobsService",
        V1 + "StoreService",
    ]
    reflected = descriptor_pool.DescriptorPool(database)
    for name in database.get_services():
        assert reflected.FindServiceByName(name).methods
    ours = pool().FindServiceByName(V1 + "StoreService")
    theirs = reflected.FindServiceByName(V1 + "StoreService")
    assert [method.name for method in theirs.methods] == [method.name for method in ours.methods]
    number = reflected.FindMessageTypeByName("google.protobuf.MethodOptions")
    assert 50101 in [extension.number for extension in reflected.FindAllExtensions(number)]
    # A call made of nothing but what reflection told.
    request = message_factory.GetMessageClass(reflected.FindMessageTypeByName(V1 + "ListStoresRequest"))
    response = message_factory.GetMessageClass(reflected.FindMessageTypeByName(V1 + "ListStoresResponse"))
    stub = channel.unary_unary(
        f"/{V1}StoreService/ListStores",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    assert stub(request(limit=1), metadata=owner) is not None


def test_reflection_v1_answers_each_request_in_turn(channel):
    reflect = call(channel, "grpc.reflection.v1.ServerReflection", "ServerReflectionInfo")
    request = functools.partial(message, "grpc.reflection.v1.ServerReflectionRequest")
    answers = list(
        reflect(
            iter(
                [
                    request(file_containing_symbol=V1 + "StoreService.CreateStore"),
                    request(file_containing_symbol="no.Such"),
                    request(file_by_filename="mainstreet/store/v1/store.proto"),
                ]
            )
        )
    )
    assert [answer.WhichOneof("message_response") for answer in answers] == [
        "file_descriptor_response",
        "error_response",
        "file_descriptor_response",
    ]
    assert answers[1].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    file = descriptor_pb2.FileDescriptorProto.FromString(answers[0].file_descriptor_response.file_descriptor_proto[0])
    assert file.name == "mainstreet/store/v1/store_service.proto"
    # What protoc wrote: comments and options are there.
    assert file.source_code_info.location and file.service[0].method[0].options.ByteSize() > 0


def test_connections_and_calls_are_shown_to_the_operator(channel, shared_platform, owner):
    create(channel, owner)
    status, _, body = http_get(shared_platform.store.addresses["admin"], "/connections")
    connections = json.loads(body)
    assert status == 200 and sum(one["callsTotal"] for one in connections) > 0
    assert {"peer", "ageSeconds", "idleSeconds", "callsOpen", "receivedBytes", "sentBytes"} <= connections[0].keys()
    assert shared_platform.store.metric("rpc_server_requests_total") > 0
    assert shared_platform.store.metric("rpc_server_connections_open") >= 1


def test_an_invalid_message_names_its_fields(channel, owner):
    error = failure(create, channel, owner, "", timezone="Mars/Olympus")
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert b"name" in details and b"timezone" in details and b"google.rpc.BadRequest" in details


def test_bytes_that_are_no_message_are_refused(channel, owner):
    stub = channel.unary_unary(f"/{V1}StoreService/CreateStore", request_serializer=bytes)
    error = failure(stub, b"\x0a\xff\xff\xff\xff\xff", metadata=owner)
    assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)


def test_a_deadline_of_a_millisecond_ends_an_import_that_never_ends(channel, owner):
    def forever():
        while True:
            yield message("google.api.HttpBody", content_type="text/csv", data=b"store_id,status,timestamp_utc\n")

    error = failure(store(channel, "ImportPolls"), forever(), metadata=owner, timeout=0.001)
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("path", [f"/{V1}StoreService/NoSuchMethod", "/no.such.Service/Method"])
def test_what_is_not_there_is_unimplemented(channel, path, owner):
    error = failure(channel.unary_unary(path, request_serializer=bytes), b"", metadata=owner)
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_call_without_a_principal_is_unauthenticated(channel):
    error = failure(store(channel, "ListStores"), message(V1 + "ListStoresRequest"))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_key_that_may_not_write_is_refused(channel, shared_platform):
    made = {"name": "Reads", "scopes": ["stores.read"]}
    viewer = principal(shared_platform, shared_platform.json("POST", "/api-keys", made, expect=201)["key"])
    stub = store(channel, "CreateStore")
    error = failure(stub, message(V1 + "CreateStoreRequest", name="x"), metadata=viewer)
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED


def test_another_tenant_sees_nothing(channel, owner, shared_platform):
    created = create(channel, owner, "Private")
    other = strangers_principal(shared_platform)
    stub = store(channel, "GetStore")
    error = failure(stub, message(V1 + "GetStoreRequest", store_id=created.store_id), metadata=other)
    assert error.code() == grpc.StatusCode.NOT_FOUND
