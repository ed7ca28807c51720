import shutil
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from recorded import record_annotation, record_draft
from sqlalchemy import bindparam, create_engine, inspect, text

from activelabel.acquisition.score import Score
from activelabel.errors import InvalidInputError
from activelabel.names import ScoreKind
from activelabel.store import migration
from activelabel.store.case_states import DraftReason, Verdict
from activelabel.store.cases.new_annotation import Compared
from activelabel.store.columns import UtcDateTime
from activelabel.store.connection.location import checked_url, sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.models.choice import label_judges
from activelabel.store.records.labels import Annotation
from activelabel.store.records.queries import Lease
from activelabel.store.records.reviews import Agreement
from activelabel.store.schema.base import Base

ROWS_OF_0001 = """
INSERT INTO images VALUES ('a', :then, 'training', TRUE, NULL, NULL, FALSE),
    ('b', :then, 'training', TRUE, NULL, NULL, TRUE), ('c', :then, 'validation', TRUE, 'truncated', :then, TRUE);
INSERT INTO model_versions VALUES (1, 'm.pt', '00', :then, 'quick', '["liver"]', '{"dice": 0.5}', NULL);
INSERT INTO rounds VALUES (1, NULL, :then), (2, 1, :then);
INSERT INTO scores VALUES ('a', 1, 'entropy', 'everything', 'mean', -1, 0.25, 5, 7, :then),
    ('a', 1, 'entropy', 'everything', 'mean', 0, 0.5, 5, 7, :then),
    ('a', 1, 'entropy', 'everything', 'mean', 1, 0.0, 5, 7, :then),
    ('b', 1, 'entropy', 'everything', 'mean', 0, 0.75, 5, 7, :then);
INSERT INTO leases (image_id, slices, annotator, strategy, model_version, score, reason, round_number, granted_at,
    expires_at, ended_at, outcome) VALUES
    ('b', NULL, 'bob', 'variance', NULL, NULL, 'at random', 1, :then, :later, :then, 'saved'),
    ('a', '[4, 7]', 'ann', 'variance', 1, 0.25, 'the largest', 2, :then, :later, NULL, NULL);
INSERT INTO lease_items VALUES ('a', 4, FALSE, 2), ('a', 7, FALSE, 2);
INSERT INTO annotations (image_id, tag, version, file, sha256, slices, annotator, seconds, lease_id, round_number,
    created_at, superseded_at, deleted_at) VALUES
    ('b', 'final', 1, 'b_1', '01', '[0, 3]', 'bob', 12.5, 1, 1, :then, :then, NULL),
    ('b', 'final', 2, 'b_2', '02', NULL, 'bob', NULL, NULL, 1, :then, NULL, NULL);
INSERT INTO model_annotations VALUES (1, 2)
"""


@contextmanager
def at_revision(engine, revision):
    """A connection to the ledger as this revision makes it, or brings it up to date, in a transaction."""
    with engine.begin() as connection:
        command.upgrade(migration.scripts_config(connection), revision)
        yield connection


NEXT_REVISION = """
from alembic import op
import sqlalchemy as sa

revision, down_revision, branch_labels, depends_on = "next", "{newest}", None, None

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
    """The URL of a database for each test, as these tests change the tables."""
    return new_url


@pytest.fixture
def engine(empty_url):
    """A separate connection to the database of the ledger under test."""
    engine = create_engine(checked_url(empty_url))
    yield engine
    engine.dispose()


@pytest.fixture
def next_revision(monkeypatch, tmp_path):
    """Add a second revision to a copy of the migrations, which the code then uses."""

    def add(then):
        scripts = tmp_path / "migrations"
        shutil.copytree(migration._SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
        newest = migration.newest_revision()
        (scripts / "versions" / "next.py").write_text(NEXT_REVISION.format(then=then, newest=newest))
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
    assert checks["model_uses"] == {"ck_model_uses_chosen", "ck_model_uses_kind"}
    assert checks["doubts"] == {"ck_doubts_correlation", "ck_doubts_defined", "ck_doubts_wrong_voxels"}
    assert checks["drafts"] == {"ck_drafts_reason"}
    assert checks["skips"] == {"ck_skips_kind", "ck_skips_ended"}
    assert checks["users"] == {"ck_users_role"}
    assert checks["login_sessions"] == {"ck_login_sessions_role"}
    assert checks["scores"] == set()


def test_the_newest_revision_by_the_files_names_is_alembics_own():
    assert migration.newest_revision() == ScriptDirectory.from_config(migration.scripts_config()).get_current_head()


def test_processes_that_open_a_new_ledger_at_once_all_succeed(new_url):
    command = [sys.executable, "-c", OPEN_WHEN_TOLD, new_url]
    openers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        for name in "abc"
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
    record_annotation(study, "a", "f", "0", "ann")
    study.grant_lease("bob", "b", 30, "random")
    before = (study.images(), study.history("a"), study.leases())
    study.close()
    next_revision("pass")
    assert (study.images(), study.history("a"), study.leases()) == before
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT DISTINCT note FROM images")).all() == ["kept"]


def test_models_of_an_older_ledger_are_of_the_task(ledger, engine):
    with engine.begin() as connection:
        command.upgrade(migration.scripts_config(connection), "0002")
        connection.execute(
            text("INSERT INTO model_versions VALUES (1, 'm.pt', '0', :then, 'quick', '[\"liver\"]', '{}', NULL)"),
            {"then": "2026-01-01 12:00:00"},
        )
    assert [(model.version, model.kind) for model in ledger.models()] == [(1, "task")]
    assert ledger.publish_model("p.pt", "0", "quick", ["foreground"], {}, [], kind="proxy").version == 2
    assert ledger.latest_model().version == 1


@pytest.fixture
def ledger_of_0001(ledger, engine, clock):
    """A ledger as the first revision wrote it, not opened since; ann's query has an hour left."""
    times = {"then": clock.now, "later": clock.now + timedelta(hours=1)}
    with at_revision(engine, "0001") as connection:
        for sql in ROWS_OF_0001.split(";"):
            used = [bindparam(name, time, UtcDateTime) for name, time in times.items() if f":{name}" in sql]
            connection.execute(text(sql).bindparams(*used))
    return ledger


def test_the_first_ledgers_annotations_survive_and_nobody_counted_their_slices(ledger_of_0001, clock):
    common = {"image_id": "b", "tag": "final", "annotator": "bob", "round_number": 1, "created_at": clock.now}
    uncounted = {"covered_slices": None, "foreground_slices": None, "deleted_at": None}
    partial = {"slices": (0, 3), "seconds": 12.5, "lease_id": 1, "superseded_at": clock.now}
    whole = {"slices": None, "seconds": None, "lease_id": None, "superseded_at": None}
    assert ledger_of_0001.history("b") == [
        Annotation(id=1, version=1, file="b_1", sha256="01", **common, **uncounted, **partial),
        Annotation(id=2, version=2, file="b_2", sha256="02", **common, **uncounted, **whole),
    ]
    assert record_annotation(ledger_of_0001, "a", "a_1", "03", "ann", slices=[4, 7]).id == 3


def test_the_first_ledgers_leases_survive_and_are_still_held(ledger_of_0001, clock):
    times = {"granted_at": clock.now, "expires_at": clock.now + timedelta(hours=1)}
    ended = {"slices": None, "model_version": None, "score": None, "ended_at": clock.now, "outcome": "saved"}
    held = {"slices": (4, 7), "model_version": 1, "score": 0.25, "ended_at": None, "outcome": None}
    leases = [
        Lease(1, "b", annotator="bob", strategy="variance", reason="at random", round_number=1, **times, **ended),
        Lease(2, "a", annotator="ann", strategy="variance", reason="the largest", round_number=2, **times, **held),
    ]
    assert ledger_of_0001.leases() == leases
    assert ledger_of_0001.active_lease("ann") == leases[1]
    assert ledger_of_0001.grant_lease("bob", "a", 30, "variance", slices=[7]) is None
    assert ledger_of_0001.grant_lease("bob", "a", 30, "variance", slices=[5]).id == 3


def test_the_first_ledgers_scores_of_volumes_survive(ledger_of_0001, engine):
    kind = ScoreKind("entropy", aggregation="mean")
    assert ledger_of_0001.volume_scores(1, kind) == {"a": 0.25}
    assert ledger_of_0001.score_repeats(1, kind) == {"a": 5}
    assert ledger_of_0001.slice_scores(1, kind) == {}
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM scores")) == 1
        assert connection.scalar(text("SELECT seed FROM scores")) == 7
        assert "scores_0001" not in inspect(connection).get_table_names()
        counts = connection.execute(text("SELECT * FROM scored_counts ORDER BY measure")).tuples().all()
        assert counts == [(1, "", "", "", 1), (1, "entropy", "everything", "mean", 1)]
    ledger_of_0001.record_scores(1, "a", [Score.of_kind(kind, 0.5, slices=(0.25, 0.75))], repeats=5, seed=0)
    assert ledger_of_0001.volume_scores(1, kind) == {"a": 0.5}
    assert ledger_of_0001.slice_scores(1, kind) == {"a": (0.25, 0.75)}


def test_the_first_ledgers_images_models_and_rounds_survive(ledger_of_0001, clock):
    images = ledger_of_0001.images()
    assert [(image.id, image.role, image.unreadable_reason) for image in images] == [
        ("a", "training", None), ("b", "training", None), ("c", "validation", "truncated"),
    ]  # fmt: skip
    assert {(image.added_at, image.slice_axis, image.slice_count) for image in images} == {(clock.now, None, None)}
    model = ledger_of_0001.latest_model()
    assert (model.version, model.labels, model.metrics) == (1, ("liver",), {"dice": 0.5})
    assert (model.created_at, model.trained_on, model.validated_on) == (clock.now, (2,), ())
    assert [(item.number, item.model_version) for item in ledger_of_0001.rounds()] == [(1, None), (2, 1)]


def test_a_ledger_of_0003_keeps_every_row_and_its_labels_may_be_compared(ledger_of_0001, engine):
    with at_revision(engine, "0003") as connection:
        columns = columns_of_all_tables(connection)
        before = rows_of_all_tables(connection, columns)
    assert ledger_of_0001.uncertainty_checks() == []
    with engine.connect() as connection:
        assert rows_of_all_tables(connection, columns) == before
    assert len(before["annotations"]) == 2
    check = ledger_of_0001.record_uncertainty_check(2, 1, "entropy", 0.25, wrong_voxels=3, voxels=10)
    assert ledger_of_0001.uncertainty_checks() == [check]


def test_a_ledger_of_0010_keeps_every_row_and_its_labels_may_be_reviewed(ledger_of_0001, engine):
    with at_revision(engine, "0010") as connection:
        columns = columns_of_all_tables(connection)
        before = rows_of_all_tables(connection, columns)
    facts = {image: ledger_of_0001.case_facts(image) for image in "abc"}
    assert {image: one.state.value for image, one in facts.items()} == {"a": "leased", "b": "finished", "c": "unseen"}
    with engine.connect() as connection:
        assert rows_of_all_tables(connection, columns) == before
    assert [label.image_id for label in ledger_of_0001.labels_to_learn()] == ["b"]
    review = ledger_of_0001.decide("b", "ann", Verdict.APPROVED)
    assert ledger_of_0001.reviews() == [review]
    assert ledger_of_0001.case_facts("b").state.value == "approved"


READINGS_OF_0018 = """
INSERT INTO images (id, added_at, role, present, leased_whole) VALUES ('a', :one, 'training', TRUE, TRUE),
    ('b', :one, 'training', TRUE, TRUE), ('c', :one, 'training', TRUE, TRUE);
INSERT INTO rounds VALUES (1, NULL, :one);
INSERT INTO annotations (image_id, tag, version, file, sha256, annotator, round_number, created_at, superseded_at,
    deleted_at) VALUES
    ('a', 'final', 1, '1', '0', 'ann', 1, :one, NULL, NULL),
    ('a', 'reading_2', 1, '2', '0', 'bob', 1, :two, :three, NULL),
    ('a', 'reading_2', 2, '3', '0', 'bob', 1, :three, NULL, NULL),
    ('b', 'final', 1, '4', '0', 'ann', 1, :one, NULL, :three),
    ('b', 'reading_2', 1, '5', '0', 'bob', 1, :two, NULL, NULL),
    ('c', 'final', 1, '6', '0', 'ann', 1, :one, :three, NULL),
    ('c', 'final', 2, '7', '0', 'ann', 1, :three, NULL, NULL),
    ('c', 'reading_2', 1, '8', '0', 'bob', 1, :two, NULL, NULL);
INSERT INTO readings (image_id, first_id, second_id, structures, agrees, created_at) VALUES
    ('a', 1, 2, '{"liver": {"dice": 0.5, "distance_mm": null}}', FALSE, :two),
    ('a', 1, 3, '{"liver": {"dice": 0.9, "distance_mm": 1.5}}', TRUE, :three),
    ('b', 4, 5, '{}', FALSE, :two),
    ('c', 6, 8, '{}', FALSE, :two)
"""


def test_a_ledger_of_0018_keeps_every_comparison_and_knows_which_are_the_current_ones(empty_url, engine, clock):
    one, two, three = (clock.now + timedelta(minutes=minutes) for minutes in (1, 2, 3))
    with at_revision(engine, "0018") as connection:
        for statement in READINGS_OF_0018.split(";"):
            inserted = text(statement).bindparams(
                *(bindparam(name, type_=UtcDateTime) for name in ("one", "two", "three") if f":{name}" in statement)
            )
            values = {"one": one, "two": two, "three": three}
            connection.execute(inserted, {name: when for name, when in values.items() if f":{name}" in statement})
        columns = columns_of_all_tables(connection)
        before = rows_of_all_tables(connection, columns)
    ledger = Ledger(empty_url, clock)
    assert [reading.id for reading in ledger.readings()] == [2, 4]
    assert [reading.superseded_at for reading in ledger.readings(with_earlier=True)] == [three, None, three, None]
    assert ledger.disagreements().keys() == {"c"}  # its new version was compared with nothing, and counted
    assert [label.image_id for label in ledger.labels_to_learn()] == ["a"]
    with engine.connect() as connection:
        assert rows_of_all_tables(connection, columns) == before
        assert len(before["readings"]) == 4
    compared = Compared(8, {"liver": Agreement(0.9, 0.5)}, agrees=True)
    record_annotation(ledger, "c", "9", "0", "ann", compared=compared)  # a second comparison of label 8
    assert [label.image_id for label in ledger.labels_to_learn()] == ["a", "c"]


def columns_of_all_tables(connection):
    """Return the names of all columns by table, without the table of the schema's version."""
    inspector = inspect(connection)
    tables = set(inspector.get_table_names()) - {migration.VERSION_TABLE}
    return {name: [column["name"] for column in inspector.get_columns(name)] for name in tables}


def rows_of_all_tables(connection, columns):
    """Return the rows of these columns by table."""
    return {
        name: sorted(map(repr, connection.execute(text(f"SELECT {', '.join(columns[name])} FROM {name}"))))  # noqa: S608
        for name in columns
    }


MODELS_OF_0004 = """
INSERT INTO images (id, added_at, role, present, leased_whole) VALUES ('t', :one, 'training', TRUE, TRUE),
    ('v', :one, 'validation', TRUE, TRUE), ('w', :one, 'validation', TRUE, TRUE);
INSERT INTO rounds VALUES (1, NULL, :one);
INSERT INTO annotations (image_id, tag, version, file, sha256, annotator, round_number, created_at) VALUES
    ('t', 'final', 1, 't', '0', 'ann', 1, :one), ('v', 'final', 1, 'v', '0', 'ann', 1, :one),
    ('w', 'final', 1, 'w', '0', 'ann', 1, :one);
INSERT INTO model_versions (version, file, sha256, created_at, recipe, labels, metrics, withdrawn_at, kind) VALUES
    (1, 'a', '0', :one, 'quick', '["liver"]', '{"dice": 0.9}', NULL, 'task'),
    (2, 'b', '0', :two, 'quick', '["liver"]', '{"dice": 0.7}', NULL, 'task'),
    (3, 'c', '0', :three, 'quick', '["liver"]', '{"dice": 0.8}', :four, 'task'),
    (4, 'p', '0', :three, 'quick', '["foreground"]', '{"dice": 0.3}', NULL, 'proxy'),
    (5, 'd', '0', :five, 'quick', '["liver"]', '{"dice": 0.05}', NULL, 'task');
INSERT INTO model_annotations VALUES (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3), (5, 1), (5, 2),
    (5, 3)
"""


def test_a_ledger_of_0004_knows_which_models_were_in_use_and_now_uses_the_best(ledger, engine, clock):
    """Model 1 was judged by v alone, so its .9 is not compared; model 3 was withdrawn; model 5 is worse than 2."""
    names = ("one", "two", "three", "four", "five")
    times = {name: clock.now + timedelta(hours=number) for number, name in enumerate(names)}
    with at_revision(engine, "0004") as connection:
        for sql in MODELS_OF_0004.split(";"):
            used = [bindparam(name, time, UtcDateTime) for name, time in times.items() if f":{name}" in sql]
            connection.execute(text(sql).bindparams(*used))
    assert [(item.model_version, item.judges.cases, item.dice) for item in ledger.measurements()] == [
        (1, 1, 0.9), (2, 2, 0.7), (3, 2, 0.8), (5, 2, 0.05),
    ]  # fmt: skip
    assert ledger.measurements()[1].judges == label_judges([3, 2])
    uses = ledger.model_uses()
    assert [use.model_version for use in uses] == [1, 2, 3, 2, 5, 2]
    assert [use.began_at for use in uses[:-1]] == list(times.values())
    assert {use.chosen_by for use in uses} == {None}
    assert (ledger.model_in_use().version, ledger.model_in_use("proxy").version) == (2, 4)
    assert ledger.latest_model().version == 5
    assert {image.patient for image in ledger.images()} == {None}


ROWS_OF_0021 = """
INSERT INTO images (id, added_at, role, present, leased_whole, content_sha256, file_size, file_modified_ns) VALUES
    ('a', :then, 'training', TRUE, TRUE, 'same', 5, 7), ('b', :then, 'training', TRUE, TRUE, 'same', 5, 7);
INSERT INTO rounds VALUES (1, NULL, :then);
INSERT INTO annotations (image_id, tag, version, file, sha256, annotator, round_number, created_at, image_sha256) VALUES
    ('b', 'final', 1, 'f', '0', 'ann', 1, :then, 'same')
"""


def test_a_ledger_of_0021_keeps_every_image_and_finds_the_annotated_copy_of_one(empty_url, engine, clock):
    with at_revision(engine, "0021") as connection:
        for statement in ROWS_OF_0021.split(";"):
            connection.execute(text(statement).bindparams(bindparam("then", clock.now, UtcDateTime)))
        columns = columns_of_all_tables(connection)
        before = rows_of_all_tables(connection, columns)
    ledger = Ledger(empty_url, clock)
    assert [(image.file_size, image.file_modified_ns, image.file_changed_ns) for image in ledger.images()] == [
        (5, 7, None), (5, 7, None),
    ]  # fmt: skip
    assert (ledger.annotated_copy("a", "same"), ledger.annotated_copy("b", "same")) == ("b", None)
    with engine.connect() as connection:
        assert rows_of_all_tables(connection, columns) == before
    assert "ix_annotations_image_sha256" in {index["name"] for index in inspect(engine).get_indexes("annotations")}
    ledger.close()


DRAFTS_OF_0023 = """
INSERT INTO images (id, added_at, role, present, leased_whole) VALUES ('a', :then, 'training', TRUE, TRUE);
INSERT INTO rounds VALUES (1, NULL, :then);
INSERT INTO drafts (image_id, annotator, version, file, sha256, slices, reason, why, created_at, ended_at) VALUES
    ('a', 'ann', 1, 'd1', '0', NULL, 'said', 'kept', :then, :then),
    ('a', 'ann', 2, 'd2', '0', '[4]', 'said', 'kept', :then, NULL)
"""


def test_a_ledger_of_0023_keeps_every_draft_and_new_ones_name_their_slices(empty_url, engine, clock):
    with at_revision(engine, "0023") as connection:
        for statement in DRAFTS_OF_0023.split(";"):
            connection.execute(text(statement).bindparams(bindparam("then", clock.now, UtcDateTime)))
        columns = columns_of_all_tables(connection)
        before = rows_of_all_tables(connection, columns)
    ledger = Ledger(empty_url, clock)
    assert [(draft.file, draft.slices, draft.named_slices) for draft in ledger.draft_history("a")] == [
        ("d1", None, None), ("d2", (4,), None),
    ]  # fmt: skip
    with engine.connect() as connection:
        assert rows_of_all_tables(connection, columns) == before
    kinds = {"reason": DraftReason.SAID, "why": "kept", "shown_as": "original"}
    for name, named in (("eve", (4, 3)), ("zoe", "all"), ("bob", None)):
        record_draft(ledger, "a", f"d of {name}", "0", name, named_slices=named, **kinds)
    named = {name: ledger.open_draft("a", name).named_slices for name in ("ann", "eve", "zoe", "bob")}
    assert named == {"ann": None, "eve": (3, 4), "zoe": "all", "bob": None}
    with engine.connect() as connection:
        nulls = connection.scalar(text("SELECT count(*) FROM drafts WHERE named_slices IS NULL"))
    assert nulls == 3
    ledger.close()


LABEL_OF_0024 = """
INSERT INTO images (id, added_at, role, present, leased_whole) VALUES ('a', :then, 'training', TRUE, TRUE);
INSERT INTO rounds VALUES (1, NULL, :then);
INSERT INTO annotations (image_id, tag, version, file, sha256, slices, annotator, round_number, created_at) VALUES
    ('a', 'final', 1, 'l1', '0', '[4]', 'ann', 1, :then)
"""


def test_a_ledger_of_0024_keeps_every_label_and_new_ones_say_what_was_sent(empty_url, engine, clock):
    with at_revision(engine, "0024") as connection:
        for statement in LABEL_OF_0024.split(";"):
            connection.execute(text(statement).bindparams(bindparam("then", clock.now, UtcDateTime)))
        columns = columns_of_all_tables(connection)
        before = rows_of_all_tables(connection, columns)
    ledger = Ledger(empty_url, clock)
    assert [(label.file, label.sent_otherwise) for label in ledger.history("a")] == [("l1", None)]
    with engine.connect() as connection:
        assert rows_of_all_tables(connection, columns) == before
    for number, sent in enumerate(({}, {3: "", 12: "ab"}, None), start=2):
        record_annotation(ledger, "a", f"l{number}", "0", "ann", slices=[4], sent_otherwise=sent)
    kept = [label.sent_otherwise for label in ledger.history("a")]
    assert kept == [None, {"format": "2"}, {"format": "2", "3": "", "12": "ab"}, None]
    with engine.connect() as connection:
        nulls = connection.scalar(text("SELECT count(*) FROM annotations WHERE sent_otherwise IS NULL"))
    assert nulls == 2
    ledger.note_label_files({"l1": (11, 2**62, 2**61)})
    assert ledger.history("a")[0].file_changed_ns == 2**61
    ledger.close()


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
    line = rf"newer activelabel \(revision next, this one knows up to {migration.newest_revision()}"
    with pytest.raises(InvalidInputError, match=line):
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
