"""Client stubs for the official grpcio, made from the .proto files alone, at run time."""

import functools
import subprocess
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from harness import API_KEY, ROOT, SECRETS, STRANGERS_KEY

IDENTITY = "mainstreet.identity.v1."


@functools.cache
def pool():
    protos = ["mainstreet/store/v1/store_service.proto", "mainstreet/jobs/v1/jobs_service.proto"]
    protos += ["mainstreet/identity/v1/identity_service.proto", "mainstreet/identity/v1/access_service.proto"]
    protos += ["grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto"]
    with tempfile.NamedTemporaryFile() as output:
        subprocess.run(
            ["protoc", "-I", ROOT / "proto", "--include_imports", f"--descriptor_set_out={output.name}", *protos],
            check=True,
        )
        files = descriptor_pb2.FileDescriptorSet.FromString(output.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


def message(type_name, /, **fields):
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(type_name))(**fields)


def call(channel, service, method):
    """The stub of an rpc, whatever its shape."""
    rpc = pool().FindServiceByName(service).FindMethodByName(method)
    request = message_factory.GetMessageClass(rpc.input_type)
    response = message_factory.GetMessageClass(rpc.output_type)
    shape = ("stream" if rpc.client_streaming else "unary") + "_" + ("stream" if rpc.server_streaming else "unary")
    return getattr(channel, shape)(
        f"/{service}/{method}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )


def store(channel, method):
    return call(channel, "mainstreet.store.v1.StoreService", method)


def jobs(channel, method):
    return call(channel, "mainstreet.jobs.v1.JobsService", method)


def connect(platform):
    return grpc.insecure_channel(platform.store.addresses["grpc"])


def service_principal(identity, service="edge"):
    """What a program of the platform is to the others, for its secret."""
    with grpc.insecure_channel(identity.addresses["grpc"]) as channel:
        request = message(IDENTITY + "IssueServicePrincipalRequest", service=service, secret=SECRETS[service])
        return metadata(call(channel, IDENTITY + "AccessService", "IssueServicePrincipal")(request).principal)


def exchanged(identity, **credential):
    """Who is behind `api_key` or `access_token`, as the Edge finds out."""
    with grpc.insecure_channel(identity.addresses["grpc"]) as channel:
        exchange = call(channel, IDENTITY + "AccessService", "ExchangeCredential")
        request = message(IDENTITY + "ExchangeCredentialRequest", **credential)
        return exchange(request, metadata=service_principal(identity))


def principal(platform, key=API_KEY):
    """The metadata of calls that act for the owner of a key."""
    return metadata(exchanged(platform.identity, api_key=key).principal)


def strangers_principal(platform):
    return principal(platform, STRANGERS_KEY)


def platform_admin(platform):
    """The metadata of calls that act for the platform's admin, who is made first."""
    printed = platform.identity.command("bootstrap-admin", "--email", "admin@example.com")
    password = dict(line.split() for line in printed.splitlines())["password"]
    return signed_in(platform, "admin@example.com", password)


def signed_in(platform, email, password):
    login = {"email": email, "password": password}
    token = platform.json("POST", "/auth/login", login)["token"]
    return metadata(exchanged(platform.identity, access_token=token).principal)


def metadata(principal):
    return (("mainstreet-principal", principal),)
