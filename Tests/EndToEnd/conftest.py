import os

import pytest

from harness import Platform


@pytest.fixture(scope="session")
def admin_url():
    url = os.environ.get("MAINSTREET_TEST_DATABASE_URL")
    assert url, "MAINSTREET_TEST_DATABASE_URL is not set; ./dev test e2e sets it"
    return url


@pytest.fixture
def platform(admin_url):
    """A platform of the test's own: empty, and free to be killed."""
    platform = Platform(admin_url)
    yield platform
    platform.stop()


@pytest.fixture(scope="module")
def shared_platform(admin_url):
    """One platform for all tests of a file that do not disturb each other."""
    platform = Platform(admin_url)
    yield platform
    platform.stop()
