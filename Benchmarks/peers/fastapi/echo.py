"""The two calls of ./dev bench edge, by FastAPI on uvicorn with its fastest parts: typed as people write it."""

import datetime
import enum
import socket

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class BusinessHours(BaseModel):
    dayOfWeek: int
    startTime: str
    endTime: str


class Store(BaseModel):
    storeId: str
    name: str
    timezone: str
    externalId: str
    createdAt: datetime.datetime
    updatedAt: datetime.datetime
    businessHours: list[BusinessHours]


class Status(enum.StrEnum):
    active = "active"
    inactive = "inactive"


class Poll(BaseModel):
    status: Status
    timestamp: datetime.datetime


class Recorded(Poll):
    storeId: str
    outcome: str


AT = datetime.datetime(2025, 6, 14, 10, tzinfo=datetime.UTC)
STORE = Store(
    storeId="0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f",
    name="Corner Bakery",
    timezone="America/Chicago",
    externalId="8419537941919820732",
    createdAt=AT,
    updatedAt=AT,
    businessHours=[BusinessHours(dayOfWeek=day, startTime="09:00:00", endTime="17:30:00") for day in range(7)],
)


@app.get("/stores/{store_id}")
async def get_store(store_id: str) -> Store:
    return STORE


@app.post("/stores/{store_id}/status", status_code=201)
async def record_poll(store_id: str, poll: Poll) -> Recorded:
    return Recorded(storeId=store_id, status=poll.status, timestamp=poll.timestamp, outcome="recorded")


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])
