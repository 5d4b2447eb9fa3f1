"""Migrations through the programs themselves, and what they leave behind."""

import json
import os
import subprocess

import pytest

from harness import BIN, ROOT, Database, psql

FIRST = "0001_stores_hours_polls_reports"


@pytest.fixture
def database(admin_url):
    database = Database(admin_url)
    yield database
    database.drop()


def migrating(database, *arguments, owner="mainstreet_store_owner"):
    return subprocess.Popen(
        [BIN / "StoreSvc", "migrate", *arguments],
        env={**os.environ, "MAINSTREET_STORE_OWNER_DATABASE_URL": database.url(owner)}
        | {"MAINSTREET_STORE_DATABASE_URL": database.url("mainstreet_store")}
        | {"MAINSTREET_STORE_IDENTITY_TARGET": "127.0.0.1:1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def migrate(database, *arguments):
    """The migrations it names, a line each."""
    process = migrating(database, *arguments)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors[-2000:]
    return output.splitlines()


def refused(database, *arguments, **options):
    """The one line that says why not."""
    process = migrating(database, *arguments, **options)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    last = json.loads(errors.splitlines()[-1])
    assert last["level"] == "critical"
    return last["msg"]


def test_a_dry_run_names_what_is_missing_and_does_nothing(database):
    missing = migrate(database, "--dry-run")
    assert missing[0] == FIRST
    assert database.query("SELECT to_regclass('store.schema_migrations') IS NULL") == "t"
    assert migrate(database) == missing
    assert migrate(database, "--dry-run") == []
    assert migrate(database) == []
    applied = database.query("SELECT to_char(version, 'FM0000') || '_' || name FROM store.schema_migrations ORDER BY 1")
    assert applied.splitlines() == missing


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_an_edited_migration_is_refused(database, arguments):
    migrate(database)
    database.query("UPDATE store.schema_migrations SET checksum = sha256('what it was then') WHERE version = 1")
    assert f"migration {FIRST} was edited after it had been applied" in refused(database, *arguments)


def test_a_database_of_a_newer_release_is_not_migrated(database):
    count = len(migrate(database))
    database.query(f"INSERT INTO store.schema_migrations VALUES ({count + 1}, 'future', '')")
    assert f"the database is at migration {count + 1}, newer than" in refused(database)


def test_programs_that_start_together_migrate_once(database):
    processes = [migrating(database) for _ in range(6)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, outputs
    applied = [line for output, _ in outputs for line in output.splitlines()]
    assert len(applied) == len(set(applied)) == int(database.query("SELECT count(*) FROM store.schema_migrations"))


@pytest.mark.parametrize(
    "owner, reason",
    [
        ("no_such_role", 'role "no_such_role" does not exist'),
        ("mainstreet_store", "permission denied for schema store"),
    ],
)
def test_a_role_that_cannot_migrate_is_told_why(database, owner, reason):
    assert reason in refused(database, owner=owner)


def test_no_table_of_any_service_is_open_to_other_tenants(platform):
    """Whatever services there are: all that are migrated are in this database."""
    url = platform.database.url("postgres")
    done = subprocess.run(
        ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", url, "-f", ROOT / "Tests/Architecture/tenants.sql"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == ""
    schemas = psql(url, "SELECT count(*) FROM pg_class WHERE relname = 'schema_migrations'")
    assert int(schemas) >= 1
