"""Workers die, freeze and come back: every job is run, and none by two who both may."""

import itertools
import random
import signal
import time

from harness import eventually
from service import Supervisor, overlaps

# Seconds without a beat after which a worker is dead.
LEASE = 2


def test_workers_killed_at_random(service, figure):
    """20,000 jobs while three times a second a worker is killed, or freezes for longer than its lease."""
    count = 20_000
    service.add(count, "--bulk", "--manner", "whole", "--manner", "apart", "--milliseconds", "4")
    began = time.monotonic()
    workers = Supervisor(service, 3, "--lease", str(LEASE), "--concurrency", "16")
    try:
        killed, frozen = torment(service, workers, until=count * 9 // 10)
        service.drained()
        # Whatever ran on three workers when they died is held for their killer, and left to people.
        blamed = service.number("SELECT count(*) FROM faults.jobs_dead")
        service.query("SELECT count(*) FROM faults.jobs_redrive(NULL, NULL, NULL, NULL, NULL, NULL, 10000)")
        service.drained()
    finally:
        workers.leave()
    seconds = time.monotonic() - began
    again = """
        SELECT count(*) FROM (SELECT job_id FROM faults.effects JOIN faults.runs USING (job_id, attempt)
          WHERE manner = '{}' GROUP BY job_id HAVING count(*) > 1) AS jobs
    """
    figure("jobs, seconds", f"{count}, {seconds:.1f}")
    figure("workers killed, frozen, restarted", f"{killed}, {frozen}, {workers.restarts}")
    figure("runs cut short", service.number("SELECT count(*) FROM faults.runs WHERE ended_at IS NULL"))
    figure("second effects, acknowledged apart (may be)", service.number(again.format("apart")))
    figure("second effects, acknowledged with the effect", service.number(again.format("whole")))
    figure("zombies' effects refused", service.number("SELECT count(*) FROM faults.refusals"))
    figure("zombies' acknowledgements refused", len(service.logged("a late acknowledgement was refused")))
    figure("held for killers, and redriven", blamed)
    figure("pairs of runs under two live leases", overlaps(service))
    assert killed >= 3 and workers.restarts >= killed, "too few deaths to tell"
    assert service.number("SELECT count(DISTINCT job_id) FROM faults.effects") == count
    assert service.number("SELECT count(*) FROM faults.jobs_history WHERE outcome = 'succeeded'") == count
    assert service.number("SELECT count(*) FROM faults.jobs_dead WHERE resolved_at IS NULL") == 0
    assert service.number(again.format("whole")) == 0
    assert overlaps(service) == 0


def torment(service, workers, until):
    """Kills and freezes workers until so many jobs have taken effect. Returns how many of each."""
    killed, frozen, thaws = 0, 0, {}
    deaths = itertools.cycle([signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL])
    while service.number("SELECT count(DISTINCT job_id) FROM faults.effects") < until:
        time.sleep(random.uniform(0.2, 0.4))
        for worker in [worker for worker, at in thaws.items() if at < time.monotonic()]:
            worker.send(signal.SIGCONT)
            del thaws[worker]
        victim = random.choice(workers.workers)
        if victim in thaws or victim.has_ended():
            continue
        death = next(deaths)
        # One of three is always awake, to bury the others.
        if death == signal.SIGSTOP and len(thaws) == 2:
            continue
        victim.send(death)
        if death == signal.SIGSTOP:
            thaws[victim] = time.monotonic() + LEASE * 1.75
            frozen += 1
        else:
            killed += 1
    for worker in thaws:
        worker.send(signal.SIGCONT)
    return killed, frozen


def test_zombies(service, figure):
    """A worker that freezes past its lease and goes on: what it does then is refused, for another has done it."""
    zombie = service.worker("--lease", str(LEASE))
    service.add(4, "--manner", "deaf", "--milliseconds", "2000")
    eventually(lambda: service.number("SELECT count(*) FROM faults.runs") == 4, what="jobs begun")
    zombie.send(signal.SIGSTOP)
    frozen = time.monotonic()
    service.worker("--lease", str(LEASE))
    again = "SELECT count(*) FROM faults.runs WHERE attempt = 2"
    eventually(lambda: service.number(again) == 4, what="jobs begun by the other")
    figure("jobs begun elsewhere after seconds", f"{time.monotonic() - frozen:.1f}")
    zombie.send(signal.SIGCONT)
    eventually(lambda: service.number("SELECT count(*) FROM faults.refusals") == 4, what="refusals")
    service.drained()
    figure("effects of the zombie, of the heir", service.query(
        "SELECT count(*) FILTER (WHERE attempt = 1), count(*) FILTER (WHERE attempt = 2) FROM faults.effects"))
    assert service.number("SELECT count(*) FROM faults.refusals WHERE attempt = 1") == 4
    assert service.number("SELECT count(*) FROM faults.effects WHERE attempt = 2") == 4
    assert service.number("SELECT count(*) FROM faults.effects") == 4
    assert overlaps(service) == 0
    # Once it knows, it is a worker like any other.
    service.enlisted(2)


def test_frozen_in_a_transaction(service, figure):
    """A worker that freezes between acknowledgement and commit holds what it has locked; not for ever."""
    zombie = service.worker("--lease", str(LEASE))
    service.add(1, "--manner", "dawdling", "--milliseconds", "1000")
    acknowledged = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
    eventually(lambda: service.number(acknowledged) == 1, what="an acknowledgement without a commit")
    zombie.send(signal.SIGSTOP)
    frozen = time.monotonic()
    service.worker("--lease", str(LEASE))
    service.drained(timeout=15)
    figure("job done elsewhere after seconds", f"{time.monotonic() - frozen:.1f}")
    zombie.send(signal.SIGCONT)
    assert service.query("SELECT attempt FROM faults.effects") == "2"


def test_poison(service, figure):
    """A job that crashes its process takes three of them along and is dead; all others are done."""
    count = 2000
    service.add(count // 2, "--bulk", "--manner", "whole", "--milliseconds", "20")
    service.add(1, "--bulk", "--manner", "poison")
    service.add(count // 2, "--bulk", "--manner", "whole", "--milliseconds", "20")
    workers = Supervisor(service, 3, "--lease", str(LEASE), "--concurrency", "8")
    try:
        service.drained()
    finally:
        workers.leave()
    dead = "SELECT error_code, attempt FROM faults.jobs_dead"
    figure("processes lost", workers.restarts)
    figure("the poison: reason, runs", service.query(dead))
    figure("others done", service.number("SELECT count(DISTINCT job_id) FROM faults.effects"))
    figure("most runs of another", service.number("SELECT max(attempt) FROM faults.runs WHERE manner = 'whole'"))
    assert service.query(dead) == "WORKER_DIED|3"
    assert workers.restarts == 3
    assert service.number("SELECT count(DISTINCT job_id) FROM faults.effects") == count
