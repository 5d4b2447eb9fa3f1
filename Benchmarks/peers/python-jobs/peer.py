#!/usr/bin/env python3
"""The queues that ./dev bench jobs compares ours with. Each command prints one line of JSON when it is done, with times by
the monotonic clock, which all processes of a machine share."""

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import random
import time

import uvloop


class Tally:
    """How long each job had waited when it began; counted over all processes, and kept by each."""

    def __init__(self, most):
        self.most = most
        self.seen = multiprocessing.Value("q", 0)
        self.waits = []

    def note(self, added):
        """Returns whether this was the last."""
        wait = time.monotonic_ns() - added
        with self.seen.get_lock():
            self.seen.value += 1
            seen = self.seen.value
        if seen == 1:
            print("ready", flush=True)
        else:
            self.waits.append(wait)
        return seen == self.most + 1


def percentile(share, waits):
    return sorted(waits)[int((len(waits) - 1) * share)] / 1e6 if waits else 0


def migrate(queue, _):
    uvloop.run(queue.migrate())


def add(queue, options):
    async def run():
        async with queue.adding(options.callers) as (add_one, add_many):
            began, cpu_before = time.monotonic(), time.process_time()

            async def call(caller):
                for first in range(caller * options.batch, options.jobs, options.callers * options.batch):
                    count = min(options.batch, options.jobs - first)
                    if count == 1:
                        await add_one(time.monotonic_ns())
                    else:
                        await add_many([time.monotonic_ns() for _ in range(count)])

            if options.pause:
                for _ in range(options.jobs):
                    await add_one(time.monotonic_ns())
                    await asyncio.sleep(options.pause / 1000 * random.uniform(1, 1.5))
            else:
                await asyncio.gather(*(call(caller) for caller in range(options.callers)))
            print(json.dumps(
                {"began": began, "ended": time.monotonic(), "cpu_seconds": time.process_time() - cpu_before}
            ))  # fmt: skip

    uvloop.run(run())


def work(queue, options):
    """In as many processes as are wanted; the last job of all ends them."""
    tally, over = Tally(options.jobs), multiprocessing.Event()
    answers = multiprocessing.SimpleQueue()

    def run():
        uvloop.run(queue.work(options, tally, over))
        answers.put((time.monotonic(), time.process_time(), tally.waits))

    processes = [multiprocessing.Process(target=run) for _ in range(options.processes)]
    for process in processes:
        process.start()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    ended, cpu, waits = zip(*found)
    waits = sum(waits, [])
    print(json.dumps(
        {"ended": max(ended), "cpu_seconds": sum(cpu), "jobs": len(waits),
         "p50_ms": percentile(0.5, waits), "p99_ms": percentile(0.99, waits)}
    ))  # fmt: skip


async def wait_for(over):
    """For an event that another process may set."""
    while not over.is_set():
        await asyncio.sleep(0.005)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("queue", choices=["procrastinate", "pgqueuer"])
    commands = parser.add_subparsers(required=True)
    for command in [migrate, add, work]:
        options = commands.add_parser(command.__name__)
        options.set_defaults(command=command)
        options.add_argument("--url", required=True)
        if command is not migrate:
            options.add_argument("--jobs", type=int, required=True)
        if command is add:
            options.add_argument("--batch", type=int, default=1000)
            options.add_argument("--callers", type=int, default=2)
            options.add_argument("--pause", type=int, help="milliseconds between one job and the next")
        if command is work:
            options.add_argument("--processes", type=int, default=1)
            options.add_argument("--concurrency", type=int, default=32, help="procrastinate: jobs run at once")
            options.add_argument("--managers", type=int, default=5, help="pgqueuer: that fetch side by side")
            options.add_argument("--batch", type=int, default=100, help="pgqueuer: jobs fetched at once")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    module = __import__(f"{options.queue}_queue")
    options.command(module.Queue(options.url), options)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    os.environ["PGAPPNAME"] = "bench"
    main()
