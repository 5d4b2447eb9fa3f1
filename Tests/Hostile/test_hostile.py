"""Every row of the hardening table, attacked for real: the connection is cut with the right error, the server's memory
stays bounded, other connections do not feel it; and the same while the server drains.

What is asserted of the others: the 99th percentile of a well-behaved client's calls under attack is at most twice that
in calm. In calm there are as many honest clients in the attackers' place, which come as often and, where the attack is
to ask for something, ask for the same: what connections and answers cost is no attack. A call is due every half a millisecond, and its time counts from when it was due: a server that works on an
attack for a millisecond delays two calls, and attacks come a hundred a second. Calm and attack take turns so that what
else the machine does hits both, a number of times that is fixed beforehand, and all calls of all turns count.

The server is a release build: what a debug build takes ten times as long for says nothing about what others feel.
"""

import time

import pytest

from attacks import ALL, ATTACKS, REFUSED, SLOW_ATTACKS
from server import Attacker, Client, Latency, Server
from wire import Connection

ROUNDS = 7
CALM_SECONDS = ATTACK_SECONDS = 0.2
# Slow attacks are over when the last that was begun in time is, and that counts too.
SLOW_ROUNDS = 3
SLOW_CALM_SECONDS, SLOW_ATTACK_SECONDS = 0.75, 0.5
# So many that can be begun while a server drains.
PREPARED = 160
SLOW_PREPARED_EACH = 6
# A call that comes while another connection is read waits until that has been: 64 KiB at a time, whatever is in them.
ONE_READ_MS = 0.5


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


def measure(name, server, client, step, attacker):
    """Calm and attack in turns: what the client saw, what came of the attacks, in how many seconds, and the most memory in
    MiB that the server occupied for the first."""
    rounds, calm_seconds, attack_seconds = ROUNDS, CALM_SECONDS, ATTACK_SECONDS
    if name in SLOW_ATTACKS:
        rounds, calm_seconds, attack_seconds = SLOW_ROUNDS, SLOW_CALM_SECONDS, SLOW_ATTACK_SECONDS
    calm, attacked, results, seconds, peak = [], [], [], 0, None
    for _ in range(rounds):
        start = time.monotonic()
        attacker.say(f"attack {attack_seconds}")
        attacked.append(client.times(step, attacker.is_done))
        seconds += time.monotonic() - start
        results.append(attacker.result())
        # Of the first attack only: what honest clients made the server's heap grow to is not held against others.
        peak = peak or server.memory("VmHWM") - server.fresh_mib
        attacker.say(f"calm {calm_seconds}")
        calm.append(client.times(step, attacker.is_done))
        assert attacker.result()["endings"].keys() == {"honest"}
    return Latency.of(calm), Latency.of(attacked), results, seconds, peak


def judge(name, state, report, calm, attacked, results, seconds, peak):
    attack = ALL[name]
    expected = attack.expected_drained if state == "draining" and attack.expected_drained else attack.expected
    count = sum(result["attacks"] for result in results)
    endings = {ending for result in results for ending in result["endings"]}
    size = sum(result["bytes"] for result in results) / max(count, 1) / 1024
    report(
        name, state, ", ".join(sorted(endings)), f"{count / seconds:.0f}", f"{size:.0f}",
        f"{peak:.0f} of {attack.memory_mib}", f"{calm.p99:.2f} → {attacked.p99:.2f}",
        f"{attacked.p99 / calm.p99:.1f}", f"{calm.most:.1f} → {attacked.most:.1f}",
    )
    assert all(result["attacks"] > 0 for result in results)
    assert endings == {expected}
    assert peak < attack.memory_mib
    assert attacked.p99 <= max(2 * calm.p99, ONE_READ_MS) or not attack.is_compared


def drain(server, client, attacker):
    """Returns when every connection has been told which stream was its last, the attacker's and the client's."""
    server.terminate()
    # The well-behaved client answers the drain's PING, the attacker's connections do not.
    while not client.connection.is_drained:
        client.echo()
        time.sleep(0.01)
    attacker.drained()


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name, server, report):
    client = Client(server.address)
    attacker = Attacker(name, server.address)
    server.forget_peak()
    measured = measure(name, server, client, client.call, attacker)
    attacker.stop()
    judge(name, "serving", report, *measured)
    client.connection.close()


@pytest.mark.parametrize("name", REFUSED)
def test_connection_flood(name, report):
    server = Server("--max-connections", "200")
    try:
        client = Client(server.address)
        held = [Connection(server.address).introduced() for _ in range(199)]
        attacker = Attacker(name, server.address)
        server.forget_peak()
        measured = measure(name, server, client, client.call, attacker)
        attacker.stop()
        judge(name, "full", report, *measured)
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
        measured = measure(name, server, client, client.call, attacker)
        attacker.stop()
        judge(name, "serving", report, *measured)
    finally:
        server.stop()


@pytest.mark.parametrize("name", [name for name, attack in ALL.items() if attack.drains])
def test_attack_while_draining(name, report):
    attack = ALL[name]
    server = Server("--drain-notice-timeout", "0.2", *attack.options)
    try:
        client = Client(server.address)
        client.open_stream()
        client.echo()
        prepared = SLOW_PREPARED_EACH * attack.connections if name in SLOW_ATTACKS else PREPARED
        attacker = Attacker(name, server.address, prepared)
        server.fresh_mib = server.memory()
        drain(server, client, attacker)
        server.forget_peak()
        measured = measure(name, server, client, client.echo, attacker)
        attacker.stop()
        judge(name, "draining", report, *measured)
        client.connection.close()
    finally:
        server.stop()
