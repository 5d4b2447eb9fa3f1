"""Client stubs for the official grpcio, made from the .proto files alone, at run time."""

import functools
import subprocess
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from harness import ROOT, TENANT

PRINCIPAL = (("mainstreet-principal", f"v0;tenant={TENANT};subject=grpcio;roles=owner"),)


@functools.cache
def pool():
    protos = ["mainstreet/store/v1/store_service.proto", "mainstreet/jobs/v1/jobs_service.proto"]
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
