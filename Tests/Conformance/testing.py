"""grpc.testing for the official grpcio, made from the .proto files alone, at run time."""

import pathlib
import subprocess
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SERVICE = "grpc.testing.TestService"


def _load():
    with tempfile.NamedTemporaryFile() as output:
        subprocess.run(
            ["protoc", "-I", HERE / "proto", "-I", ROOT / "proto", "--include_imports",
             f"--descriptor_set_out={output.name}", "grpc/testing/test.proto"],
            check=True,
        )
        files = descriptor_pb2.FileDescriptorSet.FromString(output.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


_POOL = _load()


def _message(name):
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"grpc.testing.{name}"))


BoolValue = _message("BoolValue")
EchoStatus = _message("EchoStatus")
Empty = _message("Empty")
Payload = _message("Payload")
ResponseParameters = _message("ResponseParameters")
SimpleRequest = _message("SimpleRequest")
SimpleResponse = _message("SimpleResponse")
StreamingInputCallRequest = _message("StreamingInputCallRequest")
StreamingInputCallResponse = _message("StreamingInputCallResponse")
StreamingOutputCallRequest = _message("StreamingOutputCallRequest")
StreamingOutputCallResponse = _message("StreamingOutputCallResponse")


def zeros(size):
    return Payload(body=bytes(size))


def methods():
    """Each method with the classes of its request and response."""
    for method in _POOL.FindServiceByName(SERVICE).methods:
        yield method, *map(message_factory.GetMessageClass, (method.input_type, method.output_type))


def _shape(method):
    return "_".join("stream" if streams else "unary" for streams in (method.client_streaming, method.server_streaming))


class Stub:
    """Each method as grpcio's own generated stubs have it."""

    def __init__(self, channel):
        for method, request, response in methods():
            multicallable = getattr(channel, _shape(method))(
                f"/{SERVICE}/{method.name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            setattr(self, method.name, multicallable)


def handlers(servicer):
    """What a grpcio server serves: the servicer's methods; those it lacks are unimplemented."""
    served = {}
    for method, request, response in methods():
        if behavior := getattr(servicer, method.name, None):
            make = getattr(grpc, f"{_shape(method)}_rpc_method_handler")
            served[method.name] = make(
                behavior,
                request_deserializer=request.FromString,
                response_serializer=response.SerializeToString,
            )
    return grpc.method_handlers_generic_handler(SERVICE, served)
