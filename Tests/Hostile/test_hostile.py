"""Every row of the hardening table, attacked for real: the connection is cut with the right error, the server's memory
stays bounded, other connections do not feel it; and the same while the server drains.

What is asserted of the others: the 99th percentile of a well-behaved client's calls, one after the other, under attack
is at most twice that in calm. Both are the median of several windows, taken in turns: whatever hurts in most of them
fails. Less than FLOOR_MS counts as calm. The slowest call of a window is told too, for what is too rare to be among the
slowest hundredth.

The server is a release build: what a debug build takes ten times as long for says nothing about what others feel.
"""

import pytest

from attacks import ATTACKS, MOST_IN_WINDOW, REFUSED, SLOW_ATTACKS
from server import FLOOR_MS, Attacker, Client, Latency, Server
from wire import Connection

WINDOWS = 5
WINDOW_SECONDS = 0.25
ROUNDS = 3
ALL = {**ATTACKS, **SLOW_ATTACKS, **REFUSED}


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


def measure(name, client, step, attacker):
    """Calm and attack in turns: what the client saw, and what came of the attacks. Where others felt too much, it goes
    on for longer: what the machine did meanwhile is gone from the median then, what the attack does is not."""
    calm, attacked, results = [], [], []
    while len(calm) < ROUNDS * WINDOWS:
        for _ in range(WINDOWS):
            calm.append(client.latency(step, WINDOW_SECONDS))
            attacker.attack(WINDOW_SECONDS)
            attacked.append(client.latency(step, WINDOW_SECONDS))
            results.append(attacker.result())
            assert results[-1]["attacks"] > 0
        if is_calm(name, calm, attacked):
            break
    return calm, attacked, results


def measure_slow(name, client, step, attacker):
    """The same for attacks that take their time: several windows of one attack."""
    calm, attacked, results = [], [], []
    while len(calm) < ROUNDS * WINDOWS:
        calm += [client.latency(step, WINDOW_SECONDS) for _ in range(WINDOWS)]
        attacker.attack(0)
        attacked += [client.latency(step, WINDOW_SECONDS) for _ in range(WINDOWS)]
        results.append(attacker.result())
        if is_calm(name, calm, attacked):
            break
    return calm, attacked, results


def is_calm(name, calm, attacked):
    return Latency.median(attacked).p99 <= max(2 * max(Latency.median(calm).p99, FLOOR_MS), ALL[name].delay_ms)


def judge(name, server, before, state, calm, attacked, results, report):
    attack = ALL[name]
    peak, count = server.memory("VmHWM"), sum(result["attacks"] for result in results)
    endings = {ending for result in results for ending in result["endings"]}
    size = sum(result["bytes"] for result in results) / max(count, 1) / 1024
    usual, felt = Latency.median(calm), Latency.median(attacked)
    report(
        name, state, ", ".join(sorted(endings)), count, f"{size:.0f}", f"{before:.1f} → {peak:.1f}",
        f"{usual.p99:.2f} → {felt.p99:.2f}", f"{felt.p99 / usual.p99:.1f}", f"{usual.most:.1f} → {felt.most:.1f}",
    )
    assert count > 0
    assert endings == {attack.expected}
    assert peak - before < attack.memory_mib
    assert is_calm(name, calm, attacked)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name, server, report):
    client = Client(server.address)
    attacker = Attacker(name, server.address)
    server.forget_peak()
    before = server.memory()
    measured = measure(name, client, client.call, attacker)
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
        attacker = Attacker(name, server.address, prepared=ROUNDS * WINDOWS * MOST_IN_WINDOW)
        server.terminate()
        # The well-behaved client answers the drain's PING, the attacker's connections do not.
        client.echo()
        server.forget_peak()
        before = server.memory()
        measured = measure(name, client, client.echo, attacker)
        attacker.stop()
        judge(name, server, before, "draining", *measured, report)
        client.connection.close()
    finally:
        server.stop()


@pytest.mark.parametrize("name", REFUSED)
def test_connection_flood(name, report):
    server = Server("--max-connections", "200")
    try:
        client = Client(server.address)
        held = [Connection(server.address).introduced() for _ in range(199)]
        attacker = Attacker(name, server.address)
        server.forget_peak()
        before = server.memory()
        measured = measure(name, client, client.call, attacker)
        attacker.stop()
        judge(name, server, before, "full", *measured, report)
        for connection in held:
            assert connection.glance()
            connection.close()
        Client(server.address).call()
    finally:
        server.stop()


@pytest.mark.parametrize("name", SLOW_ATTACKS)
def test_slow_attack(name, report):
    attack = SLOW_ATTACKS[name]
    server = Server(*attack.options, tls=attack.tls)
    try:
        client = Client(server.address, server.authority)
        attacker = Attacker(name, server.address)
        server.forget_peak()
        before = server.memory()
        measured = measure_slow(name, client, client.call, attacker)
        attacker.stop()
        judge(name, server, before, "serving", *measured, report)
    finally:
        server.stop()


@pytest.mark.parametrize("name", [name for name, attack in SLOW_ATTACKS.items() if attack.drains])
def test_slow_attack_while_draining(name, report):
    attack = SLOW_ATTACKS[name]
    server = Server(*attack.options)
    try:
        client = Client(server.address)
        client.open_stream()
        client.echo()
        attacker = Attacker(name, server.address, prepared=ROUNDS * attack.connections)
        server.terminate()
        client.echo()
        server.forget_peak()
        before = server.memory()
        measured = measure_slow(name, client, client.echo, attacker)
        attacker.stop()
        judge(name, server, before, "draining", *measured, report)
    finally:
        server.stop()
