import shutil
import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from activelabel.errors import InvalidInputError
from activelabel.store import migration
from activelabel.store.ledger import Ledger
from activelabel.store.location import checked_url, sqlite_url
from activelabel.store.schema import Base

NEXT_REVISION = """
from alembic import op
import sqlalchemy as sa

revision, down_revision, branch_labels, depends_on = "next", "0003", None, None

def upgrade():
    op.add_column("images", sa.Column("note", sa.Text))
    op.execute("UPDATE images SET note = 'kept'")
    {then}
"""

OPEN_WHEN_TOLD = """
import sys
from activelabel.store.ledger import Ledger
ledger = Ledger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
ledger.sync_images([sys.argv[2]], 0)
"""


@pytest.fixture
def empty_url(new_url):
    """A database for each test, for these change the tables."""
    return new_url


@pytest.fixture
def engine(empty_url):
    """A connection of its own to the database of the ledger under test."""
    engine = create_engine(checked_url(empty_url))
    yield engine
    engine.dispose()


@pytest.fixture
def next_revision(monkeypatch, tmp_path):
    """Adds a second revision to a copy of the migrations, which the code then uses."""

    def add(then):
        scripts = tmp_path / "migrations"
        shutil.copytree(migration._SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
        (scripts / "versions" / "next.py").write_text(NEXT_REVISION.format(then=then))
        monkeypatch.setattr(migration, "_SCRIPTS", scripts)

    return add


def test_the_migrations_make_the_tables_of_the_schema(ledger, engine):
    ledger.open()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": migration.VERSION_TABLE})
        assert compare_metadata(context, Base.metadata) == []
        checks = {
            name: {check["name"] for check in inspect(connection).get_check_constraints(name)}
            for name in Base.metadata.tables
        }
    assert checks["lease_items"] == {"ck_lease_items_slice_index"}
    assert checks["leases"] == {"ck_leases_ended", "ck_leases_outcome"}
    assert checks["images"] == {"ck_images_role", "ck_images_unreadable"}
    assert checks["model_versions"] == {"ck_model_versions_kind"}
    assert checks["scores"] == set()


def test_processes_that_open_a_new_ledger_at_once_all_succeed(new_url):
    command = [sys.executable, "-c", OPEN_WHEN_TOLD, new_url]
    openers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in "abc"
    ]
    for opener in openers:
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        opener.stdin.write("\n")
        opener.stdin.flush()
    for opener in openers:
        opener.communicate(timeout=60)
    assert [opener.returncode for opener in openers] == [0, 0, 0]
    ledger = Ledger(new_url)
    assert [image.id for image in ledger.images()] == ["a", "b", "c"]
    ledger.close()


def test_an_upgrade_keeps_what_there_is(study, engine, next_revision):
    study.record_annotation("a", "f", "0", "ann")
    study.grant_lease("bob", "b", 30, "random")
    before = (study.images(), study.history("a"), study.leases())
    study.close()
    next_revision("pass")
    assert (study.images(), study.history("a"), study.leases()) == before
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT DISTINCT note FROM images")).all() == ["kept"]


def test_models_of_an_older_ledger_are_of_the_task(ledger, engine):
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(migration._SCRIPTS))
        command.upgrade(config, "0002")
        connection.execute(
            text("INSERT INTO model_versions VALUES (1, 'm.pt', '0', :then, 'quick', '[\"liver\"]', '{}', NULL)"),
            {"then": "2026-01-01 12:00:00"},
        )
    assert [(model.version, model.kind) for model in ledger.models()] == [(1, "task")]
    assert ledger.publish_model("p.pt", "0", "quick", ["foreground"], {}, [], kind="proxy").version == 2
    assert ledger.latest_model().version == 1


def test_a_failed_upgrade_changes_nothing(study, engine, next_revision):
    study.close()
    next_revision("raise RuntimeError('in the middle')")
    with pytest.raises(RuntimeError, match="in the middle"):
        study.open()
    assert "note" not in {column["name"] for column in inspect(engine).get_columns("images")}


def test_a_newer_ledger_is_refused(study, next_revision, monkeypatch):
    study.close()
    ours = migration._SCRIPTS
    next_revision("pass")
    study.open()
    study.close()
    monkeypatch.setattr(migration, "_SCRIPTS", ours)
    with pytest.raises(InvalidInputError, match=r"newer activelabel \(revision next, this one knows up to 0003"):
        study.open()


def test_the_database_of_another_program_is_left_alone(new_url):
    engine = create_engine(checked_url(new_url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(text("CREATE TABLE runs (id INTEGER)"))
    with pytest.raises(InvalidInputError, match=r"other tables \(alembic_version, runs, …\)"):
        Ledger(new_url).open()
    assert sorted(inspect(engine).get_table_names()) == ["alembic_version", "runs"]
    engine.dispose()


def test_a_path_with_a_percent_sign_is_a_path(tmp_path, monkeypatch):
    scripts = tmp_path / "100 %(here)s" / "migrations"
    shutil.copytree(migration._SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migration, "_SCRIPTS", scripts)
    ledger = Ledger(sqlite_url(tmp_path / "100 %.sqlite"))
    ledger.open()
    ledger.close()
    assert (tmp_path / "100 %.sqlite").is_file()
