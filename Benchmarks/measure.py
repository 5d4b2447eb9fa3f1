"""What the benchmarks share: release executables on a private cluster, CPU and memory as the kernel counts them."""

import contextlib
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEERS = ROOT / "Benchmarks/peers"
# As dev builds, for the reason given there.
RELEASE = ["swift", "build", "-c", "release", "--quiet", "-Xswiftc", "-enforce-exclusivity=unchecked"]
os.environ.setdefault("MAINSTREET_BIN", str(ROOT / ".build/release"))
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))

from harness import PG_BIN, Cluster, Platform, eventually, psql  # noqa: E402, F401


def build_release(*products):
    """One of our executables, or all of them."""
    chosen = [option for product in products for option in ("--product", product)]
    subprocess.run([*RELEASE, *chosen], cwd=ROOT, check=True)


@contextlib.contextmanager
def platform():
    """Edge, StoreSvc and Postgres with its defaults (fsync on), built in release mode."""
    build_release()
    cluster = Cluster()
    try:
        running = Platform(cluster.admin_url)
        running.cluster = cluster
        try:
            yield running
        finally:
            running.stop()
    finally:
        cluster.destroy()


def cpu_seconds(pid):
    """User and system time of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    """The most resident memory a process ever had."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def postgres_peak_mib(cluster):
    """The same for the largest backend of a cluster; the shared buffers it touched count."""
    postmaster = (cluster.data / "postmaster.pid").read_text().split()[0]
    backends = subprocess.run(["ps", "-o", "pid=", "--ppid", postmaster], capture_output=True, text=True, check=True)
    return max(peak_mib(pid) for pid in backends.stdout.split())


def server_seconds(cluster):
    """User and system time of the postmaster, of its children and of those that have ended."""
    postmaster = (cluster.data / "postmaster.pid").read_text().split()[0]
    backends = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    eventually(lambda: psql(cluster.admin_url, backends) == "1", what="the end of all other backends")
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", postmaster], check=True, capture_output=True, text=True)
    seconds = 0.0
    for pid, count in [(postmaster, 4), *((child, 2) for child in children.stdout.split())]:
        # A child may have ended meanwhile; then it is among the postmaster's.
        with contextlib.suppress(FileNotFoundError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            seconds += sum(map(int, fields[11 : 11 + count])) / os.sysconf("SC_CLK_TCK")
    return seconds


def psql_version():
    return subprocess.run(["psql", "--version"], check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def timed():
    """Yields a function that tells the seconds since."""
    start = time.monotonic()
    yield lambda: time.monotonic() - start


def h2load(url, requests, *headers, body=None, connections=50, streams=20):
    """Requests per second, how many succeeded, and the latencies: min max mean sd."""
    command = ["h2load", f"-c{connections}", f"-m{streams}", f"-n{requests}", "-t1"]
    for header in headers:
        command += ["-H", header]
    if body:
        command += ["-d", str(body)]
    output = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    lines = {line.split(":")[0].split(" in ")[0]: line for line in output.splitlines()}
    rate = float(lines["finished"].split(",")[1].split()[0])
    succeeded = int(lines["status codes"].split(":")[1].split()[0])
    return rate, succeeded, " ".join(lines["time for request"].split(":")[1].split()[:4])
