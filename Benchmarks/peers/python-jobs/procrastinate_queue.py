"""procrastinate: asynchronous tasks on psycopg's pool, with its C code."""

import asyncio
import contextlib

import procrastinate
from peer import wait_for


class Queue:
    def __init__(self, url):
        self.url = url

    def app(self, connections):
        return procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=self.url, min_size=connections, max_size=connections)
        )

    async def migrate(self):
        app = self.app(1)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    @contextlib.asynccontextmanager
    async def adding(self, callers):
        app = self.app(min(callers, 16))

        @app.task(name="noop", queue="noop")
        async def noop(added):
            raise NotImplementedError

        async def add_one(added):
            await noop.defer_async(added=added)

        async def add_many(all_added):
            await noop.batch_defer_async(*({"added": added} for added in all_added))

        async with app.open_async():
            yield add_one, add_many

    async def work(self, options, tally, over):
        # One connection is kept for notifications.
        app = self.app(min(options.concurrency, 16) + 1)

        @app.task(name="noop", queue="noop")
        async def noop(added):
            if tally.note(added):
                over.set()

        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    queues=["noop"], concurrency=options.concurrency, wait=True, install_signal_handlers=False
                )
            )
            await wait_for(over)
            worker.cancel()
            # Ends once all that has begun is acknowledged.
            with contextlib.suppress(asyncio.CancelledError):
                await worker
