"""Revocation and limits over two Edges, with the IdentitySvc they share."""

import concurrent.futures
import json
import signal
import time

import http_sfv
import pytest

from harness import API_KEY, STRANGER, STRANGERS_KEY, Process, edge_environment, eventually, http_request


@pytest.fixture
def edges(platform, tmp_path):
    """Two, with the limits that there are unless told."""
    found = []
    for number in range(2):
        environment = edge_environment(platform.store.addresses["grpc"], platform.identity.addresses["grpc"])
        environment = {name: value for name, value in environment.items() if "LIMITS" not in name}
        directory = tmp_path / str(number)
        directory.mkdir()
        found.append(Process(directory, "Edge", environment).start())
    for edge in found:
        edge.wait_until_ready()
        eventually(lambda: edge.metric("edge_revocations_heard") == 1, what="revocations heard of")
    yield found
    for edge in found:
        edge.stop()


def status(edge, target="/stores", key=API_KEY):
    return http_request(edge.addresses["http"], "GET", target, None, {"X-API-Key": key})[0]


def test_a_key_that_is_revoked_counts_nowhere_within_five_seconds(platform, edges):
    made = platform.json("POST", "/api-keys", {"name": "Lost"}, expect=201)
    for edge in edges:
        assert [status(edge, key=made["key"]) for _ in range(2)] == [200, 200]
    began = time.monotonic()
    assert platform.request("DELETE", f"/api-keys/{made['apiKey']['id']}")[0] == 204
    for edge in edges:
        eventually(lambda: status(edge, key=made["key"]) == 401, timeout=5, what="refusal")
    print(f"revoked on two Edges after {time.monotonic() - began:.2f} s")


def test_what_is_known_counts_no_longer_than_five_seconds_without_identity(platform, edges):
    assert status(edges[0]) == 200
    platform.identity.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        eventually(lambda: status(edges[0]) == 503, timeout=15, what="503")
        # The last of these waited for the exchange's own deadline.
        assert time.monotonic() - began < 5 + 6
    finally:
        platform.identity.process.send_signal(signal.SIGCONT)
    eventually(lambda: status(edges[0]) == 200, what="the Edge hearing again")


def test_two_edges_keep_one_limit(platform, edges):
    def ask(number):
        return http_request(edges[number % 2].addresses["http"], "GET", "/stores", None, {"X-API-Key": API_KEY})

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(400)))
    refilled = (time.monotonic() - began) * 100 / 60
    admitted = sum(answer[0] == 200 for answer in answers)
    print(f"{admitted} of 100 a minute let through, of 400 in {time.monotonic() - began:.1f} s")
    assert 95 <= admitted <= 105 + refilled
    assert {answer[0] for answer in answers} == {200, 429}

    [refused, *_] = [answer for answer in answers if answer[0] == 429]
    problem = json.loads(refused[2])
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert 1 <= int(refused[1]["retry-after"]) <= 60
    for _, headers, _ in answers:
        policy, limit = http_sfv.List(), http_sfv.List()
        policy.parse(headers["ratelimit-policy"].encode())
        limit.parse(headers["ratelimit"].encode())
        [policy], [limit] = policy, limit
        assert (policy.value, policy.params["q"], policy.params["w"]) == ("query", 100, 60)
        assert limit.value == "query" and 0 <= limit.params["r"] <= 100 and 0 <= limit.params["t"] <= 61


def test_an_address_signs_in_ten_times_a_minute(edges):
    login = json.dumps({"email": "nobody@example.com", "password": "wrong horse battery"}).encode()
    headers = {"Content-Type": "application/json"}
    found = [http_request(edges[0].addresses["http"], "POST", "/auth/login", login, headers)[0] for _ in range(12)]
    assert found[:10].count(429) <= 10 and found[-1] == 429, found


def test_a_tenant_may_have_limits_of_its_own(platform, edges):
    platform.database.query(f"INSERT INTO identity.rate_limits VALUES ('{STRANGER}', 'query', 3)")
    assert [status(edges[0], key=STRANGERS_KEY) for _ in range(4)] == [200, 200, 200, 429]
