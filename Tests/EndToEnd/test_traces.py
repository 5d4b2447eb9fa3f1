"""What a collector of OpenTelemetry gets, by its official protos: one trace from the client through the Edge to the
statements of the service."""

import collections
import concurrent.futures
import json
import threading

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from harness import Platform, eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT = "b7ad6b7169203331"

Received = collections.namedtuple("Received", "service span attributes")


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self):
        self.lock = threading.Lock()
        self.spans = []
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def Export(self, request, context):
        with self.lock:
            for resource_spans in request.resource_spans:
                service = attributes(resource_spans.resource)["service.name"]
                for scope_spans in resource_spans.scope_spans:
                    self.spans += [Received(service, span, attributes(span)) for span in scope_spans.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def of(self, trace):
        with self.lock:
            return [received for received in self.spans if received.span.trace_id.hex() == trace]

    def stop(self):
        self.server.stop(0).wait()


def attributes(message):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes}


class TracedPlatform(Platform):
    def __init__(self, admin_url, collector):
        self.collector = collector
        super().__init__(admin_url)

    def _store_environment(self):
        return {**super()._store_environment(), "MAINSTREET_STORE_OTLP_TARGET": self.collector.address}

    def _edge_environment(self):
        return {
            **super()._edge_environment(),
            "MAINSTREET_EDGE_OTLP_TARGET": self.collector.address,
            "MAINSTREET_EDGE_OTLP_RATIO": "0",
        }


@pytest.fixture
def traced(admin_url):
    collector = Collector()
    platform = TracedPlatform(admin_url, collector)
    yield platform
    platform.stop()
    collector.stop()


def test_a_request_is_one_trace_from_the_client_to_the_statements(traced):
    headers = {"traceparent": f"00-{TRACE}-{CLIENT}-01", "tracestate": "vendor=1"}
    status, _, body = traced.request("POST", "/stores", json.dumps({"name": "One"}).encode(), headers)
    assert status == 201, body
    spans = eventually(lambda: (found := traced.collector.of(TRACE)) and len(found) >= 4 and found, what="the spans")
    assert all(received.span.trace_state == "vendor=1" for received in spans)

    def the(service, kind, name):
        [received] = [r for r in spans if (r.service, r.span.kind, r.span.name) == (service, kind, name)]
        assert received.span.end_time_unix_nano >= received.span.start_time_unix_nano > 1_700_000_000 * 10**9
        return received

    request = the("edge", trace_pb2.Span.SPAN_KIND_SERVER, "POST /stores")
    assert request.span.parent_span_id.hex() == CLIENT
    assert request.attributes["http.response.status_code"] == 201
    rpc = "mainstreet.store.v1.StoreService/CreateStore"
    call = the("edge", trace_pb2.Span.SPAN_KIND_CLIENT, rpc)
    assert call.span.parent_span_id == request.span.span_id
    handler = the("store", trace_pb2.Span.SPAN_KIND_SERVER, rpc)
    assert handler.span.parent_span_id == call.span.span_id
    assert handler.attributes["rpc.grpc.status_code"] == 0
    statements = [r for r in spans if r.attributes.get("db.system") == "postgresql"]
    assert "InsertStore" in {r.span.name for r in statements}
    assert {r.span.parent_span_id for r in statements} == {handler.span.span_id}


def test_what_is_not_sampled_is_not_sent_and_a_dead_collector_disturbs_nobody(traced):
    unsampled = {"traceparent": f"00-{TRACE[::-1]}-{CLIENT}-00"}
    assert traced.request("GET", "/stores", headers=unsampled)[0] == 200
    assert traced.request("GET", "/stores")[0] == 200
    traced.collector.stop()
    for _ in range(20):
        assert traced.request("GET", "/stores", headers={"traceparent": f"00-{TRACE}-{CLIENT}-01"})[0] == 200
    assert not traced.collector.of(TRACE[::-1])
    assert traced.edge.terminate() == 0
    assert traced.store.terminate() == 0
