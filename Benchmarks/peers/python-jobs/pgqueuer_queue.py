"""pgqueuer: asynchronous entrypoints on asyncpg, as in its own benchmark: managers side by side, a connection each; and with
the settings for autovacuum that it recommends."""

import asyncio
import contextlib

import asyncpg
from peer import wait_for
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.queries import Queries


class Queue:
    def __init__(self, url):
        self.url = url

    async def migrate(self):
        connection = await asyncpg.connect(self.url)
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    @contextlib.asynccontextmanager
    async def adding(self, callers):
        async with asyncpg.create_pool(self.url, min_size=min(callers, 16), max_size=min(callers, 16)) as pool:
            queries = Queries(AsyncpgPoolDriver(pool))

            async def add_one(added):
                await queries.enqueue("noop", str(added).encode())

            async def add_many(all_added):
                count = len(all_added)
                await queries.enqueue(["noop"] * count, [str(added).encode() for added in all_added], [0] * count)

            yield add_one, add_many

    async def work(self, options, tally, over):
        connections = [await asyncpg.connect(self.url) for _ in range(options.managers)]
        queues = [PgQueuer(AsyncpgDriver(connection)) for connection in connections]
        for queue in queues:

            @queue.entrypoint("noop")
            async def noop(job):
                if tally.note(int(job.payload)):
                    over.set()

        async def stop():
            await wait_for(over)
            for queue in queues:
                queue.shutdown.set()

        # Ends once all that has begun is acknowledged.
        await asyncio.gather(stop(), *(queue.run(batch_size=options.batch) for queue in queues))
        for connection in connections:
            await connection.close()
