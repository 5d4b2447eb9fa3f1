import os
import pathlib
import sys

import pytest

# Clusters, processes and grpcio's stubs are those of the tests from outside.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))

from service import Service  # noqa: E402

_figures = pytest.StashKey[list]()
_gallery = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[_figures] = []
    config.stash[_gallery] = []


@pytest.fixture
def figure(pytestconfig, request):
    """Adds a line to the table at the end: what was measured, and how much it was."""

    def add(what, value):
        pytestconfig.stash[_figures].append((request.node.name.removeprefix("test_"), what, str(value)))

    return add


@pytest.fixture
def show(pytestconfig):
    """Adds to the gallery of failures: what fails, what its caller is told, and the line in the log."""

    def add(failure, told, line):
        pytestconfig.stash[_gallery].append((failure, told, line))

    return add


@pytest.fixture(scope="session")
def admin_url():
    url = os.environ.get("MAINSTREET_TEST_DATABASE_URL")
    assert url, "MAINSTREET_TEST_DATABASE_URL is not set; ./dev test faults sets it"
    return url


@pytest.fixture
def service(admin_url, tmp_path):
    """A queue on the Postgres of all tests, for those that leave it alone."""
    service = Service(admin_url, tmp_path)
    yield service
    service.end()


def pytest_terminal_summary(terminalreporter, config):
    if figures := config.stash[_figures]:
        terminalreporter.section("faults")
        widths = [max(len(row[column]) for row in figures) for column in range(2)]
        last = None
        for test, what, value in figures:
            name = test if test != last else ""
            terminalreporter.write_line(f"{name.ljust(widths[0])}  {what.ljust(widths[1])}  {value}")
            last = test
    if gallery := config.stash[_gallery]:
        terminalreporter.section("the gallery of failures")
        for failure, told, line in gallery:
            terminalreporter.write_line(failure)
            terminalreporter.write_line(f"  caller  {told}")
            terminalreporter.write_line(f"  log     {line}")
