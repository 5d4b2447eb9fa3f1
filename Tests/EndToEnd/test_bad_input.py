"""Bad input gets a clear problem naming the field, and loses nothing."""

import gzip
import json
import socket

import pytest

from harness import API_KEY

UNKNOWN_ID = "01900000-0000-7000-8000-000000000000"
JSON = {"Content-Type": "application/json"}
CSV = {"Content-Type": "text/csv"}


def problem(platform, status, code, method, path, body=None, headers=None, field=None):
    """Asks, and checks everything a problem body promises."""
    got, answered, raw = platform.request(method, path, body, headers or JSON)
    assert got == status, (got, raw[:2000])
    assert answered["content-type"] == "application/problem+json"
    value = json.loads(raw)
    assert value["status"] == value["statusCode"] == status
    assert (value["method"], value["path"]) == (method, path.split("?")[0])
    for key in ("type", "title", "detail", "instance", "message", "timestamp", "requestId"):
        assert value[key], key
    assert value["requestId"] == answered["x-request-id"]
    assert code is None or value["code"] == code, value
    if field is not None:
        assert field in [error["field"] for error in value["errors"]], value
    print(json.dumps(value))
    return value


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": "Loop', None),
        (b'{"name": 5}', "/name"),
        (b'{"name": "x", "colour": "red"}', "/colour"),
        (b'{"name": "x", "name": "y"}', "/name"),
        (b'{"name": "\xff"}', None),
        (b'{"name": "a\\u0000b"}', "/name"),
        (b'{"name": "x", "timezone": "Mars/Olympus"}', "/timezone"),
        (b"{}", "/name"),
        (b'{"name": "' + b"x" * 201 + b'"}', "/name"),
        (b"[]", None),
    ],
    ids=["truncated", "wrong-type", "unknown-field", "duplicate-key", "bad-utf8", "nul", "zone", "missing", "long", "array"],
)
def test_a_bad_store_is_refused(shared_platform, body, field):
    problem(shared_platform, 400, None, "POST", "/stores", body, field=field)


def test_a_poll_from_the_future_is_refused(shared_platform):
    store = shared_platform.json("POST", "/stores", {"name": "Loop Pizza"}, expect=201)["storeId"]
    body = b'{"status": "active", "timestamp": "2999-01-01T00:00:00Z"}'
    problem(shared_platform, 400, "POLL_IN_FUTURE", "POST", f"/stores/{store}/status", body, field="/timestamp")


def test_a_csv_without_a_column_is_refused(shared_platform):
    value = problem(shared_platform, 400, None, "POST", "/imports/polls", b"store_id,status\na,active\n", CSV)
    assert "timestamp_utc" in json.dumps(value)


def test_a_bad_row_is_named_and_the_others_kept(shared_platform):
    rows = [b"row%d,active,2023-01-25 10:00:00 UTC" % index for index in range(10)]
    rows[5] = b"row5,asleep,2023-01-25 10:00:00 UTC"  # line 7: the header is line 1
    summary = shared_platform.import_csv("polls", b"store_id,status,timestamp_utc\n" + b"\n".join(rows) + b"\n")
    assert (summary["rows"], summary["accepted"], summary["rejected"]) == (10, 9, 1)
    assert summary["rejectedLines"][0]["line"] == 7
    assert summary["rejectedLines"][0]["message"] == "status must be active or inactive"


def test_a_gzip_that_ends_early_is_refused_whole(shared_platform):
    before = shared_platform.json("GET", "/stores?limit=100")["stores"]
    rows = b"".join(b"cut%d,active,2023-01-25 10:00:00 UTC\n" % index for index in range(5000))
    cut = gzip.compress(b"store_id,status,timestamp_utc\n" + rows)[:-100]
    problem(shared_platform, 400, None, "POST", "/imports/polls", cut, CSV)
    assert shared_platform.json("GET", "/stores?limit=100")["stores"] == before


def test_headers_of_20_kib_are_refused(shared_platform):
    status, headers, _ = shared_platform.request("GET", "/stores", headers={"X-Long": "x" * 20 * 1024})
    assert status == 431 and headers["content-type"] == "application/problem+json"


def test_a_body_over_the_limit_is_refused(shared_platform):
    body = b'{"name": "' + b"x" * (1 << 20) + b'"}'
    problem(shared_platform, 413, None, "POST", "/stores", body)


def test_what_is_unknown_is_not_found(shared_platform):
    problem(shared_platform, 404, "REPORT_NOT_FOUND", "GET", f"/get_report/{UNKNOWN_ID}")
    problem(shared_platform, 404, "STORE_NOT_FOUND", "GET", f"/stores/{UNKNOWN_ID}")
    problem(shared_platform, 404, "ROUTE_NOT_FOUND", "GET", "/no/such/route")
    problem(shared_platform, 400, None, "GET", "/stores/not-a-uuid", field="/storeId")


def test_an_unknown_query_parameter_is_named(shared_platform):
    problem(shared_platform, 400, None, "GET", "/stores?colour=red")


def test_a_wrong_method_is_told_the_right_ones(shared_platform):
    status, headers, body = shared_platform.request("DELETE", "/trigger_report")
    assert status == 405 and headers["allow"] == "POST", body


def test_a_wrong_api_key_is_refused(shared_platform):
    assert shared_platform.request("GET", "/stores", headers={"X-API-Key": API_KEY})[0] == 200
    status, _, body = shared_platform.request("GET", "/stores", headers={"X-API-Key": "msk_test_wrong"})
    assert status == 401 and json.loads(body)["statusCode"] == 401


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /stores HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /stores HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
        # With a key, for without one it is refused before its body is looked at.
        b"POST /stores HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
        % API_KEY.encode(),
        b"GET /stores\r\n\r\n",
    ],
    ids=["both-lengths", "two-lengths", "bad-chunk", "no-version"],
)
def test_what_smuggles_is_refused_and_cut(shared_platform, request_bytes):
    host, port = shared_platform.edge.addresses["http"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request_bytes)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), answer[:200]
