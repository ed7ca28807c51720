"""Drawings that wait on the annotator's machine."""

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ActiveLabelLib.outbox import private_files
from ActiveLabelLib.outbox.outbox import Outbox
from ActiveLabelLib.outbox.unsent import CORRECTION, DRAFT, FINISHED, Unsent

LIBRARY = Path(__file__).parents[3] / "clients" / "slicer" / "ActiveLabel"


def another(folder: Path) -> Outbox:
    """The outbox of another Slicer of the same person."""
    return Outbox(folder / "unsent", "http://one:8000", "ann", "p1")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Outbox]:
    box = another(tmp_path)
    yield box
    box.end()


def keep(box: Outbox, image: str, content: bytes, kind: str = DRAFT, **params: Any) -> Unsent:
    box.place(image).write_bytes(content)
    return box.put(image, kind, params)


@pytest.mark.parametrize("image", ["case7", "Fälle/7", "..", "con", "a" * 255])
def test_the_newest_drawing_of_an_image_waits_whatever_its_name(box: Outbox, tmp_path: Path, image: str) -> None:
    keep(box, image, b"first", slices_done=[1])
    keep(box, image, b"second", FINISHED, finished=True)
    box.end()

    (waiting,) = another(tmp_path).all()  # another process, after a crash
    assert (waiting.image, waiting.kind, waiting.file.read_bytes()) == (image, FINISHED, b"second")
    assert waiting.params == {"finished": True}
    assert len(list(box.folder.glob("*.nii.gz"))) == 1


def test_a_drawing_is_removed_once_it_is_sent_but_not_a_newer_one(box: Outbox) -> None:
    first = keep(box, "case7", b"first")
    second = keep(box, "case7", b"second")
    box.remove(first)
    assert box.all() == [second]
    box.remove(second)
    assert box.all() == []
    box.end()
    assert list(box.folder.iterdir()) == []


def test_a_crash_before_a_drawing_is_recorded_leaves_the_older_one(box: Outbox) -> None:
    older = keep(box, "case7", b"first")
    box.place("case7").write_bytes(b"half of the sec")  # and then the power fails
    assert box.all() == [older]
    assert older.file.read_bytes() == b"first"


def test_servers_people_and_projects_have_drawings_of_their_own(box: Outbox, tmp_path: Path) -> None:
    keep(box, "case7", b"of ann", CORRECTION)
    one, two = "http://one:8000", "http://two:8000"
    for address, name, project in ((two, "ann", "p1"), (one, "bob", "p1"), (one, "ann", "p2")):
        assert Outbox(tmp_path / "unsent", address, name, project).of("case7") is None


def test_what_an_older_module_has_kept_which_knew_no_projects_is_sent(tmp_path: Path) -> None:
    box = another(tmp_path)
    keep(box, "case7", b"of ann")
    box.end()
    older = box.folder.with_name("dc5178b34fa208f2")  # of the address and the name alone
    box.folder.rename(older)
    box = another(tmp_path)
    assert [entry.file.read_bytes() for entry in box.to_send()] == [b"of ann"]
    assert not older.exists()


def test_a_refused_drawing_stays_with_the_servers_line(box: Outbox) -> None:
    box.refuse(keep(box, "case7", b"x", FINISHED), "label: value 9 has no name")
    waiting = box.of("case7")
    assert waiting is not None
    assert (waiting.refused, waiting.file.read_bytes()) == ("label: value 9 has no name", b"x")


def test_a_drawing_that_an_older_version_of_the_module_has_kept_is_sent(box: Outbox) -> None:
    entry = keep(box, "case7", b"x")
    older = box.folder / f"{entry.file.name.partition('-')[0]}.json"
    next(box.folder.glob("*.json")).rename(older)
    (waiting,) = box.to_send()
    assert (waiting.image, waiting.owner, waiting.file) == ("case7", "", entry.file)
    box.remove(waiting)
    assert box.all() == []


# Rights


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_only_the_user_may_read_what_waits(tmp_path: Path) -> None:
    unsent = tmp_path / "unsent"
    unsent.mkdir(mode=0o755)
    box = another(tmp_path)
    box.place("case7").write_bytes(b"as Slicer writes it")
    box.place("case7").chmod(0o644)
    box.put("case7", DRAFT, {})
    box.keep_marks("case7", [3])
    rights = {path: stat.S_IMODE(path.stat().st_mode) for path in (unsent, *unsent.rglob("*"))}
    assert len(rights) == 6
    assert {path: mode for path, mode in rights.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}
    box.end()


# Damage


def _no_json(record: Path, _: Path) -> None:
    record.write_bytes(b'{"image": "case7", "ki')


def _no_text(record: Path, _: Path) -> None:
    record.write_bytes(b"\xff\xfe\x00")


def _a_list(record: Path, _: Path) -> None:
    record.write_text("[1]", encoding="utf-8")


def _empty(record: Path, _: Path) -> None:
    record.write_bytes(b"")


def _other_types(record: Path, _: Path) -> None:
    fields = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**fields, "params": [1]}), encoding="utf-8")


def _of_another_image(record: Path, _: Path) -> None:
    fields = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**fields, "image": "case9"}), encoding="utf-8")


def _no_drawing(_: Path, drawing: Path) -> None:
    drawing.unlink()


def _half_a_drawing(_: Path, drawing: Path) -> None:
    drawing.write_bytes(drawing.read_bytes()[:3])


@pytest.mark.parametrize(
    "damage",
    [_no_json, _no_text, _a_list, _empty, _other_types, _of_another_image, _no_drawing, _half_a_drawing],
    ids=lambda damage: damage.__name__[1:],
)
def test_a_damaged_drawing_is_set_aside_with_one_line_and_the_others_wait_on(
    box: Outbox, damage: Callable[[Path, Path], None]
) -> None:
    entry = keep(box, "case7", b"drawing")
    (record,) = box.folder.glob("*.json")
    damage(record, entry.file)
    other = keep(box, "case8", b"whole")
    assert box.all() == [other]
    (line,) = box.take_problems()
    aside = record.with_name(record.name + ".damaged")
    assert aside.is_file()
    assert "is damaged" in line
    assert str(aside) in line
    assert "\n" not in line
    assert box.all() == [other]
    assert box.take_problems() == [], "it is said once"
    assert box.of("case7") is None


def test_damaged_marks_are_set_aside(box: Outbox) -> None:
    box.keep_marks("case7", [3])
    next(box.folder.glob("*.marks")).write_bytes(b"[3")
    assert box.marks_of("case7") == ()
    assert len(box.take_problems()) == 1
    assert box.marks_of("case7") == ()
    assert box.take_problems() == []


# A full disk


def _full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_the_older_drawing_and_nothing_half_written(
    box: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = keep(box, "case7", b"first")
    box.keep_marks("case7", [3])
    box.place("case7").write_bytes(b"second")
    with monkeypatch.context() as patched:
        patched.setattr(private_files.os, "fsync", _full)
        with pytest.raises(OSError, match="No space"):
            box.put("case7", DRAFT, {})
        with pytest.raises(OSError, match="No space"):
            box.keep_marks("case7", [3, 4])
    assert box.all() == [older]
    assert box.marks_of("case7") == (3,)
    monkeypatch.setattr("ActiveLabelLib.outbox.outbox.write_record", _full)
    with pytest.raises(OSError, match="No space"):
        box.put("case7", DRAFT, {})
    assert box.all() == [older]
    assert not list(box.folder.glob("*.part"))
    assert [file.read_bytes() for file in box.folder.glob("*.nii.gz")] == [b"first"]


# Several Slicers

OTHER_SLICER = """
import sys
from pathlib import Path
from ActiveLabelLib.outbox.outbox import Outbox
box = Outbox(Path(sys.argv[1]) / "unsent", "http://one:8000", "ann", "p1")
box.place("case7").write_bytes(b"of the other")
box.put("case7", "draft", {})
print("kept", flush=True)
sys.stdin.read()
"""


def test_drawings_of_a_slicer_that_runs_are_its_own_and_of_one_that_was_killed_are_sent_by_the_next(
    box: Outbox, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", OTHER_SLICER, str(tmp_path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(LIBRARY)}, **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"kept\n"
        own = keep(box, "case7", b"own")
        assert list(box.to_send()) == [own]
        other.kill()
    assert [entry.file.read_bytes() for entry in box.to_send()] == [b"own", b"of the other"][::-1]


def test_a_drawing_that_one_slicer_sends_for_another_is_not_sent_by_a_third(box: Outbox, tmp_path: Path) -> None:
    ended = another(tmp_path)
    keep(ended, "case7", b"left behind")
    ended.end()
    third = another(tmp_path)
    sending = box.to_send()
    entry = next(sending)
    assert list(third.to_send()) == []
    box.remove(entry)
    assert list(sending) == []
    assert list(third.to_send()) == []
    third.end()


def test_a_drawing_that_is_opened_is_kept_by_who_opens_it(box: Outbox, tmp_path: Path) -> None:
    ended = another(tmp_path)
    ended.refuse(keep(ended, "case7", b"left behind", FINISHED, finished=True), "value 9 has no name")
    ended.end()
    taken = box.take("case7")
    assert taken is not None
    assert (taken.owner, taken.kind, taken.refused) == (box.owner, FINISHED, "value 9 has no name")
    assert box.all() == [taken]
    newer = keep(box, "case7", b"drawn on")
    assert box.all() == [newer], "it takes the place of what was opened"


def test_what_crashed_slicers_have_left_unfinished_is_removed_after_an_hour(box: Outbox, tmp_path: Path) -> None:
    box.place("case7").write_bytes(b"of one that runs")
    old = box.folder / f"new-{'0' * 24}-123.nii.gz"
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 4000,) * 2)
    later = another(tmp_path)
    assert not old.exists()
    assert box.place("case7").exists()
    later.end()
