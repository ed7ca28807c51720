"""Drawings that wait on the annotator's machine."""

from pathlib import Path

import pytest

from ActiveLabelLib.outbox import CORRECTION, DRAFT, FINISHED, Outbox


@pytest.fixture
def box(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "unsent", "http://one:8000", "ann")


def draw(box: Outbox, image: str, content: bytes) -> None:
    box.place(image).write_bytes(content)


@pytest.mark.parametrize("image", ["case7", "Fälle/7", "..", "con", "a" * 255])
def test_the_newest_drawing_of_an_image_waits_whatever_its_name(box: Outbox, tmp_path: Path, image: str) -> None:
    draw(box, image, b"first")
    box.put(image, DRAFT, {"slices_done": [1]})
    draw(box, image, b"second")
    box.put(image, FINISHED, {"finished": True})

    (waiting,) = Outbox(tmp_path / "unsent", "http://one:8000", "ann").all()  # another process, after a crash
    assert (waiting.image, waiting.kind, waiting.file.read_bytes()) == (image, FINISHED, b"second")
    assert waiting.params == {"finished": True}
    assert len(list(box.folder.glob("*.nii.gz"))) == 1


def test_a_drawing_is_removed_once_it_is_sent_but_not_a_newer_one(box: Outbox) -> None:
    draw(box, "case7", b"first")
    first = box.put("case7", DRAFT, {})
    draw(box, "case7", b"second")
    second = box.put("case7", DRAFT, {})
    box.remove(first)
    assert box.all() == [second]
    box.remove(second)
    assert box.all() == []
    assert list(box.folder.iterdir()) == []


def test_a_crash_before_a_drawing_is_recorded_leaves_the_older_one(box: Outbox) -> None:
    draw(box, "case7", b"first")
    older = box.put("case7", DRAFT, {})
    draw(box, "case7", b"half of the sec")  # and then the power fails
    assert box.all() == [older]
    assert older.file.read_bytes() == b"first"


def test_servers_and_people_have_drawings_of_their_own(box: Outbox, tmp_path: Path) -> None:
    draw(box, "case7", b"of ann")
    box.put("case7", CORRECTION, {})
    for address, name in (("http://two:8000", "ann"), ("http://one:8000", "bob")):
        assert Outbox(tmp_path / "unsent", address, name).of("case7") is None


def test_a_refused_drawing_stays_with_the_servers_line(box: Outbox) -> None:
    draw(box, "case7", b"x")
    box.refuse(box.put("case7", FINISHED, {}), "label: value 9 has no name")
    waiting = box.of("case7")
    assert waiting is not None
    assert (waiting.refused, waiting.file.read_bytes()) == ("label: value 9 has no name", b"x")
