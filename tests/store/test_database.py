import logging
import multiprocessing
import pickle
import socket
import sqlite3
import threading
from contextlib import closing

import pytest
from executed import BEGIN, executed
from recorded import record_annotation
from sqlalchemy import exc, func, select, text

from activelabel.errors import InvalidInputError, NotFoundError, NotReadyError, UnavailableError
from activelabel.store import database
from activelabel.store.cases.new_annotation import NewAnnotation
from activelabel.store.connection import engines
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.schema.images import ImageRow


def one_line(refusal):
    assert "\n" not in str(refusal.value)
    assert "do-not-show-this" not in str(refusal.value)
    return str(refusal.value)


def test_a_sqlite_commit_is_on_the_disk_before_it_is_acknowledged(tmp_path):
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    with ledger._writing() as session:
        answers = [session.scalar(text(f"PRAGMA {name}")) for name in ("synchronous", "journal_mode", "foreign_keys")]
    ledger.close()
    assert answers == [2, "wal", 1]  # 2 is FULL


def test_a_new_file_that_another_process_is_writing_is_waited_for(tmp_path):
    path = tmp_path / "ledger.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # while this lasts, SQLite refuses to switch to the write-ahead log, at once
    release = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    release.start()
    ledger = Ledger(sqlite_url(path))
    ledger.open()
    release.join()
    other.close()
    ledger.close()


def test_reads_of_one_look_share_a_transaction_until_this_thread_writes(study):
    with executed() as statements, study.one_look():
        for _ in range(2):
            with study.one_look():
                assert study.image("a").present
                assert study.has_pool("training")
        assert statements.count(BEGIN) == 1
        study.mark_unreadable("a", "damaged")
        assert study.image("a").unreadable_reason == "damaged"
        assert statements.count(BEGIN) == 3
    with executed() as statements:
        study.image("a")
        study.image("a")
    assert statements.count(BEGIN) == 2


def test_a_look_that_begins_anew_sees_what_others_have_written(study, empty_url):
    other = Ledger(empty_url)
    with study.one_look():
        assert study.image("a").present
        other.mark_unreadable("a", "damaged")
        study.look_anew()
        assert study.image("a").unreadable_reason == "damaged"
    other.close()


def test_a_long_look_sees_what_others_write(study, empty_url, monkeypatch):
    other = Ledger(empty_url)
    with study.one_look():
        assert study.image("a").present
        other.mark_unreadable("a", "damaged")
        monkeypatch.setattr(database, "_LOOK_SECONDS", 0.0)
        assert study.image("a").unreadable_reason == "damaged"
    other.close()


def test_a_look_goes_on_after_an_error(study):
    with study.one_look():
        assert study.image("a").present
        with pytest.raises(NotFoundError):
            study.image("nobody")
        with pytest.raises((exc.DBAPIError, UnavailableError)), study._reading() as session:
            session.execute(text("SELECT nonsense FROM images"))
        assert study.image("b").present


def test_a_look_whose_connection_was_lost_ends_without_an_error(study):
    with study.one_look():
        assert study.image("a").present
        session = study._look.session
        session.connection().connection.dbapi_connection.close()
    assert study.image("a").present


def test_each_thread_has_a_look_of_its_own(study):
    seen = []
    with study.one_look():
        assert study.image("a").present
        thread = threading.Thread(target=lambda: seen.append(study.image("b").id))
        thread.start()
        thread.join()
        with executed() as statements:
            study.image("c")
    assert (seen, statements.count(BEGIN)) == (["b"], 0)


def test_a_process_that_forks_in_a_look_reads_by_itself(study):
    with study.one_look():
        assert study.image("a").present
        child = multiprocessing.get_context("fork").Process(target=study.mark_unreadable, args=("a", "damaged"))
        child.start()
        child.join()
        assert child.exitcode == 0
    assert study.image("a").unreadable_reason == "damaged"


def test_a_used_ledger_can_be_pickled(empty_url):
    ledger = Ledger(empty_url)
    ledger.sync_images(["a"], 0)
    copy = pickle.loads(pickle.dumps(ledger))
    copy.sync_images(["a", "b"], 0)
    assert [image.id for image in ledger.images()] == ["a", "b"]
    copy.close()
    ledger.close()


def test_all_statements_of_a_reader_see_one_state_of_the_ledger(empty_url):
    ledger, other = Ledger(empty_url), Ledger(empty_url)
    ledger.sync_images(["a"], 0)
    images = select(func.count()).select_from(ImageRow)
    with ledger._reading() as session:
        assert session.scalar(images) == 1
        other.sync_images(["a", "b"], 0)
        assert session.scalar(images) == 1
    with ledger._reading() as session:
        assert session.scalar(images) == 2
    other.close()
    ledger.close()


def test_a_used_ledger_works_on_in_a_new_process(empty_url):
    ledger = Ledger(empty_url)
    ledger.sync_images("a", 0)
    child = multiprocessing.get_context("spawn").Process(
        target=ledger.keep_label, args=(NewAnnotation("a", "label", "0", "ann"),)
    )
    child.start()
    child.join(300)
    assert child.exitcode == 0
    assert [label.file for label in ledger.history("a")] == ["label"]
    ledger.close()


def test_a_used_ledger_works_on_in_forked_children_and_in_the_parent(empty_url):
    ledger = Ledger(empty_url)
    ledger.sync_images("abc", 0)

    def save_ten(image_id):
        for number in range(10):
            record_annotation(ledger, image_id, f"label {number}", "0", "ann")

    children = [multiprocessing.get_context("fork").Process(target=save_ten, args=image_id) for image_id in "ab"]
    for child in children:
        child.start()
    save_ten("c")
    for child in children:
        child.join(300)
    assert [child.exitcode for child in children] == [0, 0]
    assert [len(ledger.history(image_id)) for image_id in "abc"] == [10, 10, 10]
    ledger.close()


def test_a_closed_ledger_opens_again(ledger):
    ledger.sync_images("ab", 0)
    ledger.close()
    ledger.close()
    assert len(ledger.images()) == 2


def test_a_failed_event_leaves_no_trace(study):
    def fail():
        with study._writing() as session:
            session.execute(text("DELETE FROM images"))
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert len(study.images()) == 6


def test_readers_do_not_wait_for_a_writer(study):
    with study._writing() as session:
        session.execute(text("DELETE FROM images"))
        assert len(study.images()) == 6
        session.rollback()


def test_a_ledger_held_by_another_process_is_reported(study, monkeypatch):
    monkeypatch.setattr(engines, "_PATIENCE_SECONDS", 1)
    impatient = pickle.loads(pickle.dumps(study))
    with study._writing() as session:
        session.execute(text("SELECT 1"))  # the lock is taken with the first statement
        with pytest.raises(NotReadyError, match="another process has held it for 1 s") as refusal:
            impatient.mark_readable("a")
    one_line(refusal)
    impatient.mark_readable("a")
    impatient.close()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no database, but more than a hundred bytes of text " * 4)
    with pytest.raises(InvalidInputError, match=r"notes\.txt: file is not a database") as refusal:
        Ledger(sqlite_url(path)).open()
    one_line(refusal)
    assert path.read_text(encoding="utf-8").startswith("no database")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"nowhere/ledger\.sqlite: unable to open") as refusal:
        Ledger(sqlite_url(tmp_path / "nowhere" / "ledger.sqlite")).open()
    one_line(refusal)


def test_a_server_that_does_not_answer_is_named():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(InvalidInputError, match=rf"ledger postgresql://u:\*\*\*@127.0.0.1:{port}/d: ") as refusal:
            Ledger(f"postgresql://u:do-not-show-this@127.0.0.1:{port}/d").open()
    assert "refused" in one_line(refusal)


@pytest.mark.parametrize(
    ("path", "password", "expected"),
    [
        ("postgres", "wrong-do-not-show-this", "authentication failed"),
        ("nowhere", "do-not-show-this", "does not exist"),
    ],
)
def test_a_refusal_of_the_server_is_told_without_the_password(postgresql_server, caplog, path, password, expected):
    url = f"{postgresql_server.replace('do-not-show-this', password)}/{path}"
    with caplog.at_level(logging.DEBUG), pytest.raises(InvalidInputError, match=expected) as refusal:
        Ledger(url).open()
    one_line(refusal)
    assert "do-not-show-this" not in caplog.text


def test_a_user_who_may_not_create_tables_is_told(new_postgresql, administrator):
    url = new_postgresql()
    administrator.execute("CREATE ROLE visitor LOGIN PASSWORD 'do-not-show-this'")
    with pytest.raises(InvalidInputError, match=r"permission denied for schema public.*right to create") as refusal:
        Ledger(url.replace("tester:", "visitor:")).open()
    one_line(refusal)


def test_a_ledger_shows_where_it_is_without_the_password():
    ledger = Ledger("postgresql://ann:do-not-show-this@db.example/study")
    assert repr(ledger) == "Ledger('postgresql://ann:***@db.example/study')"
    assert ledger.shown_url == "postgresql://ann:***@db.example/study"


def test_a_lost_connection_is_made_anew(new_postgresql, administrator):
    ledger = Ledger(new_postgresql())
    ledger.sync_images("ab", 0)
    others = "pid <> pg_backend_pid() AND datname LIKE 'ledger_%'"
    ended = administrator.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608
    assert ended.fetchall() == [(True,)]
    assert len(ledger.images()) == 2
    ledger.close()


def test_a_server_that_was_installed_without_a_language_keeps_every_letter(new_postgresql):
    ledger = Ledger(new_postgresql("ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"))
    ledger.sync_images(["Röntgen 1"], 0)
    assert [image.id for image in ledger.images()] == ["Röntgen 1"]
    ledger.close()


def test_sqlite_errors_without_a_code_are_recognised_by_their_text(tmp_path):
    """Python 3.10 has no `sqlite_errorcode`; neither has an error that was not raised by SQLite."""
    file = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(file)) as writer, closing(sqlite3.connect(file, timeout=0)) as other:
        writer.execute("CREATE TABLE t (x)")
        writer.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as full:
            writer.execute("INSERT INTO t VALUES (zeroblob(100000))")
        writer.rollback()
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as busy:
            other.execute("BEGIN IMMEDIATE")
    for caught, code in ((busy, 5), (full, 13)):
        assert engines._sqlite_code(caught.value) == code
        assert engines._sqlite_code(sqlite3.OperationalError(str(caught.value))) == code
    assert engines._sqlite_code(RuntimeError("database is locked")) == 0
    assert engines._sqlite_code(sqlite3.OperationalError("no such table: t")) == 0
