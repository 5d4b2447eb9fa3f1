"""Every row of the hardening table, attacked for real: the connection is cut with the right error, the server's memory
stays bounded, other connections do not feel it; and the same while the server drains.

What is asserted of the others: the 99th percentile of a well-behaved client's calls, one after the other, under attack
is at most twice that in calm. Both are the least of several windows, taken in turns: what an attack does to others shows
in each of them, what else the machine does only in some. Below FLOOR_MS everything counts as calm.
"""

import pytest

from attacks import ATTACKS, SLOW_ATTACKS
from server import Attacker, Client, Server
from wire import PREFACE, SERVICE, Connection, request, settings

WINDOWS = 4
WINDOW_SECONDS = 0.3
FLOOR_MS = 1.0


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


def measure(server, client, step, attacker):
    """Calm and attack in turns: what the client saw, and what came of the attacks."""
    calm, attacked, results = [], [], []
    for _ in range(WINDOWS):
        calm.append(client.p99(step, WINDOW_SECONDS))
        attacker.attack(WINDOW_SECONDS)
        attacked.append(client.p99(step, WINDOW_SECONDS))
        results.append(attacker.result())
    return min(calm), min(attacked), results


def judge(name, server, before, state, calm, attacked, results, report):
    peak, count = server.memory("VmHWM"), sum(result["attacks"] for result in results)
    endings = {ending for result in results for ending in result["endings"]}
    size = sum(result["bytes"] for result in results) / max(count, 1) / 1024
    report(
        name, state, ", ".join(sorted(endings)), count, f"{size:.0f}", f"{before:.1f} → {peak:.1f}",
        f"{calm:.2f} → {attacked:.2f}",
    )
    assert count > 0
    assert endings == {ATTACKS[name].expected}
    assert peak - before < ATTACKS[name].memory_mib
    assert attacked <= 2 * max(calm, FLOOR_MS)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name, server, report):
    client = Client(server.address)
    attacker = Attacker(name, server.address)
    server.forget_peak()
    before = server.memory()
    measured = measure(server, client, client.call, attacker)
    attacker.stop()
    judge(name, server, before, "serving", *measured, report)
    client.connection.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_while_draining(name, report):
    server = Server()
    try:
        client = Client(server.address)
        client.open_stream()
        client.echo()
        attacker = Attacker(name, server.address, prepared=3 * WINDOWS)
        server.terminate()
        # The well-behaved client answers the drain's PING, the attacker's connections do not.
        client.echo()
        server.forget_peak()
        before = server.memory()
        measured = measure(server, client, client.echo, attacker)
        attacker.stop()
        judge(name, server, before, "draining", *measured, report)
        client.connection.close()
    finally:
        server.stop()


@pytest.mark.parametrize("name", SLOW_ATTACKS)
def test_slow_attack(name, report):
    attack = SLOW_ATTACKS[name]
    server = Server(*attack.options)
    try:
        before = server.memory()
        server.forget_peak()
        if name == "no preface":
            connection = Connection(server.address, introduction=PREFACE[:10])
        else:
            connection = Connection(server.address, PREFACE + settings(), receive_buffer=4096).introduced()
            if name != "idle":
                connection.send(request(1, f"{SERVICE}/FullDuplexCall"))
        attack.run(connection)
        ending = connection.end()
        peak = server.memory("VmHWM")
        report(name, "serving", ending, 1, f"{connection.sent / 1024:.0f}", f"{before:.1f} → {peak:.1f}", "")
        assert ending == attack.expected
        assert peak - before < attack.memory_mib
    finally:
        server.stop()
