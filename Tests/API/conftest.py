import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))

from harness import Platform  # noqa: E402


@pytest.fixture(scope="session")
def platform():
    url = os.environ.get("MAINSTREET_TEST_DATABASE_URL")
    assert url, "MAINSTREET_TEST_DATABASE_URL is not set; ./dev test api sets it"
    platform = Platform(url)
    yield platform
    platform.stop()
