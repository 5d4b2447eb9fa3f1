import pytest

from server import FLOOR_MS

_rows = pytest.StashKey[list]()
_HEADS = [
    "attack", "server", "ended by", "attacks", "KiB each", "MiB before → most", "p99 ms calm → attacked", "ratio",
    "most ms",
]


def pytest_configure(config):
    config.stash[_rows] = []


@pytest.fixture
def report(pytestconfig):
    """Adds a row to the table at the end."""
    def add(*cells):
        texts = [str(cell) for cell in cells]
        pytestconfig.stash[_rows].append(texts + [""] * (len(_HEADS) - len(texts)))

    return add


def pytest_terminal_summary(terminalreporter, config):
    rows = [_HEADS, *config.stash[_rows]]
    if len(rows) == 1:
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("hostile clients")
    terminalreporter.write_line(f"calm is whatever takes less than {FLOOR_MS} ms")
    for row in rows:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
