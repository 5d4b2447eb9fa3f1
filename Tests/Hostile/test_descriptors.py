"""A server that may open no more files waits until it may, instead of asking the kernel again and again."""

import os
import pathlib
import resource
import time

from server import Client, Server
from wire import PREFACE, Connection, settings


def cpu_seconds(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_no_descriptors(report):
    server = Server()
    try:
        client = Client(server.address)
        open_files = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (open_files + 8, hard))
        connections = [Connection(server.address, PREFACE + settings()) for _ in range(32)]
        client.call()
        before = cpu_seconds(server)
        time.sleep(1)
        spent = cpu_seconds(server) - before
        # Those that are served are, and the others once there is room.
        client.call()
        for connection in connections:
            connection.close()
        waiting = Connection(server.address).introduced()
        assert waiting.ending is None
        report("32 connections, files for 8", "serving", "", 32, "", "", f"{spent * 1000:.0f} ms of CPU in a second")
        assert spent < 0.2
    finally:
        server.stop()


def test_raises_its_limit():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, limits[1]))
    try:
        server = Server()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    try:
        soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard
    finally:
        server.stop()
