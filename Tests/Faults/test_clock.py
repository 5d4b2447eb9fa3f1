"""Clocks of machines that jump: the time is the database server's, and whether a worker lives no clock decides."""

import struct

import pytest

from harness import BIN, eventually
from service import overlaps

HOUR = 3600


class Clock:
    """The wall clock of the processes started with it: off by as much as it was last told. See WrongClock.h."""

    def __init__(self, folder):
        self._file = folder / "clock"
        self._file.touch()
        self.environment = {"LD_PRELOAD": str(BIN / "libWrongClock.so"), "WRONG_CLOCK": str(self._file)}
        self.set(0)

    def set(self, seconds):
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", seconds))


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


def test_clocks_that_jump(service, clock, figure):
    """The clock of a worker and an adder jumps back and ahead by hours, while jobs run and others wait for their time."""
    clock.set(-HOUR)
    jumping = service.worker("--lease", "8", "--concurrency", "4", clock=clock)
    service.worker("--lease", "8", "--concurrency", "4")
    service.enlisted(2)
    own = f"""
        SELECT count(*) FROM faults.runs
        WHERE process = {jumping.process.pid} AND abs(extract(epoch FROM own_clock - began_at) - %d) < 60
    """
    jumps = [-HOUR, 2 * HOUR, -24 * HOUR, 0]
    for number, seconds in enumerate(jumps):
        clock.set(seconds)
        service.add(50, "--bulk", "--manner", "apart", "--delay", "2", clock=clock)
        service.add(50, "--rate", "1000", "--manner", "whole", "--milliseconds", "100", clock=clock)
        eventually(lambda: service.number(own % seconds) > 0, what=f"a run by the clock that is off by {seconds}")
    service.drained()
    late = """
        SELECT round(1000 * {}(extract(epoch FROM began_at - created_at) - 2)::numeric)
        FROM faults.runs JOIN faults.jobs_history USING (job_id) WHERE manner = 'apart'
    """
    figure("hours the clock was off by", ", ".join(str(seconds // HOUR) for seconds in jumps))
    figure("scheduled jobs late, ms: least, most", f"{service.query(late.format('min'))}, {service.query(late.format('max'))}")
    buried = service.logged("a worker died; its jobs are run again") + service.logged("this worker stops what it runs")
    figure("workers taken for dead", len(buried))
    figure("most runs of a job", service.number("SELECT max(attempt) FROM faults.runs"))
    assert service.number(late.format("min")) >= 0
    assert service.number(late.format("max")) < 10_000
    assert buried == []
    assert service.number("SELECT max(attempt) FROM faults.runs") == 1
    assert service.number("SELECT count(*) FROM faults.effects") == 100 * len(jumps)
    assert overlaps(service) == 0
