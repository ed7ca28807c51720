"""A label drawn beside the slices that were asked for is asked back, not believed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from orientations import ORIENTATIONS, affine_towards
from small_studies import write_nifti

from activelabel.annotation.archive import Kept, LabelArchive
from activelabel.annotation.beside_asked import asked_back, drawn_beside
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.grids import Grid
from activelabel.data.label_checking import check_label
from activelabel.data.slices import slice_mask
from activelabel.errors import AskedBackError, InvalidInputError
from activelabel.server.client_info import read_label_info
from activelabel.store.case_states import DraftReason
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import Draft

SHAPE = (11, 12, 13)
SPACING_MM = (1.0, 1.5, 3.0)

# By hand


@pytest.mark.parametrize(
    ("asked", "empty", "drawn", "beside"),
    [
        ({7}, {7}, {6}, {7: 6}),  # read "7" as one of images counted from 1
        ({7}, {7}, {8}, {7: 8}),
        ({7}, {7}, {40}, {7: 40}),  # the other way round: 48 - 1 - 7
        ({7}, {7}, {41}, {7: 41}),  # and counted from 1
        ({7}, {7}, {20}, {}),  # a slice that no way of counting explains
        ({7}, {7}, set(), {}),  # empty is an answer
        ({7}, set(), {6, 7}, {}),  # drawn, and a neighbour too
        ({7, 8}, {7}, {8}, {}),  # the organ ends here: its neighbour was asked for as well
        ({7, 8}, {8}, {6, 7}, {8: 7}),  # both one too low: 6 tells it
        ({7, 20, 30}, {7, 20, 30}, {6, 19, 29}, {7: 6, 20: 19, 30: 29}),
        ({7, 20}, {20}, {7, 12}, {}),
    ],
)
def test_a_drawing_where_a_reader_who_miscounts_would_draw_is_found(
    asked: set[int], empty: set[int], drawn: set[int], beside: dict[int, int]
) -> None:
    assert drawn_beside(asked, empty, drawn, 48) == beside


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_only_empty_slices_are_found_and_none_without_a_drawing_beside_the_query(
    asked: set[int], drawn: set[int]
) -> None:
    beside = drawn_beside(asked, asked - drawn, drawn, 21)
    assert beside.keys() <= asked - drawn
    assert set(beside.values()) <= drawn
    assert drawn_beside(asked, asked - drawn, drawn & asked, 21) == {}


def test_the_line_names_a_few_slices_of_either_kind_and_says_what_to_do() -> None:
    line = asked_back("case7", {7: 6}, lambda slices: f"<{slices[0]}>")
    assert line == (
        "label of 'case7': it is kept, but not learnt from yet: <7> was asked for and came back empty, while <6> was "
        "not asked for and is drawn on. Look whether it is the right slice. If it is meant so, send the same label "
        'once more, or with "confirmed": true in its params'
    )
    many = asked_back("case7", {index: index - 1 for index in range(10, 20)}, lambda slices: str(list(slices)))
    assert "[10, 11, 12] (and 7 more) was asked for" in many
    assert "while [9, 10, 11] was not" in many


# Through the archive


class Reader:
    """An annotator who is asked for slices of an image."""

    def __init__(self, folder: Path, affine: NDArray[np.float64] | None = None, shape: Any = SHAPE) -> None:
        self.folder = folder
        self.grid = Grid(shape, affine_towards("LPS", SPACING_MM) if affine is None else affine)
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
        self.image = "a"
        self.ledger.sync_images(["a", *ORIENTATIONS], 0)
        reader = HistoryReader(self.ledger, ("ball",), folder / "labels", folder / "predictions", asks_slices=True)
        self.archive = LabelArchive(self.ledger, reader, "acquisition")
        self.axis = self.archive.slice_axis(self.image, self.grid)

    def open_another(self, image: str, affine: NDArray[np.float64]) -> None:
        """Go on with another image."""
        self.image, self.grid = image, Grid(self.grid.shape, affine)
        self.axis = self.archive.slice_axis(image, self.grid)

    def ask(self, *slices: int, annotator: str = "ann") -> None:
        assert self.ledger.grant_lease(annotator, self.image, 30, "uncertainty_slices", slices=slices) is not None

    def draw(self, *slices: int, annotator: str = "ann", **info: Any) -> Kept:
        drawn = slice_mask(self.grid.shape, self.axis, slices).astype(np.uint8)
        file = write_nifti(self.folder / "sent.nii.gz", drawn, self.grid.affine_ras)
        return self.archive.keep(
            self.image, "final", file, self.grid, read_label_info({"client_id": annotator, **info})
        )

    def draft(self) -> Draft | None:
        return self.ledger.open_draft(self.image, "ann")


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.mark.parametrize("off", [-1, 1])
def test_a_label_drawn_on_a_neighbour_is_asked_back_in_every_orientation(reader: Reader, off: int) -> None:
    for codes in ORIENTATIONS:
        reader.open_another(codes, affine_towards(codes, SPACING_MM))
        assert reader.axis == 2
        reader.ask(4)
        with pytest.raises(AskedBackError) as asked:
            reader.draw(4 + off)
        assert "(slice 5 of 13, counted from 1) was asked for and came back empty" in str(asked.value)
        assert f"(slice {5 + off} of 13, counted from 1) was not asked for and is drawn on" in str(asked.value)
        assert reader.ledger.current_annotation(codes) is None
        assert reader.draw(4).slices == (4,)


@pytest.mark.parametrize("shape", [(13, 11, 12), (11, 13, 12), (11, 12, 13)])
def test_a_label_counted_from_the_other_end_is_asked_back_along_every_axis(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    axis = shape.index(13)
    affine = np.diag([*np.where(np.arange(3) == axis, 3.0, 1.0), 1.0])
    reader = Reader(tmp_path, affine, shape)
    assert reader.axis == axis
    reader.ask(2)
    with pytest.raises(AskedBackError):
        reader.draw(10)


def test_a_label_that_is_asked_back_is_a_draft_and_its_query_stays_open(reader: Reader) -> None:
    reader.ask(4)
    with pytest.raises(AskedBackError) as asked:
        reader.draw(3)
    draft = reader.draft()
    assert draft is not None
    assert (draft.slices, draft.reason, draft.why) == ((4,), DraftReason.UNCONFIRMED, str(asked.value))
    kept = check_label(reader.archive.sound_file(draft), reader.grid, ("ball",)).array
    assert set(np.nonzero(kept)[reader.axis]) == {3}
    shown = reader.ledger.current_annotation("a", "original")
    assert shown is not None
    assert (shown.file, shown.label_names) == (draft.file, ("ball",))
    lease = reader.ledger.active_lease("ann")
    assert lease is not None
    assert (lease.slices, lease.id) == ((4,), draft.lease_id)
    assert reader.ledger.progress().annotated_slices == 0


def test_the_draft_of_a_label_that_was_asked_back_ends_with_the_right_answer(reader: Reader) -> None:
    reader.ask(4)
    with pytest.raises(AskedBackError):
        reader.draw(3)
    assert reader.draw(4).slices == (4,)
    assert reader.draft() is None


def test_the_draft_of_a_label_that_was_asked_back_can_be_finished(reader: Reader) -> None:
    reader.ask(4)
    with pytest.raises(AskedBackError):
        reader.draw(3)
    assert reader.archive.finish("a", "ann", reader.grid).slices == (3, 4)
    assert reader.draft() is None


def test_a_draft_is_asked_back_when_it_is_sent_as_finished(reader: Reader) -> None:
    """The same voxels were sent before, but nobody has told anybody then that they lie beside what was asked for."""
    reader.ask(4)
    reader.draw(3, finished=False)
    with pytest.raises(AskedBackError):
        reader.draw(3, finished=True)
    assert reader.draw(3, finished=True).slices == (3, 4)


def test_a_label_that_was_asked_back_counts_when_it_is_sent_again(reader: Reader) -> None:
    reader.ask(4)
    with pytest.raises(AskedBackError):
        reader.draw(3)
    assert reader.draw(3).slices == (3, 4)
    assert reader.ledger.active_lease("ann") is None


def test_another_label_with_an_empty_query_is_asked_back_again(reader: Reader) -> None:
    reader.ask(4)
    for drawn in ((3,), (3, 9), (3,)):
        with pytest.raises(AskedBackError):
            reader.draw(*drawn)
    assert reader.draw(3).slices == (3, 4)


def test_a_label_that_its_client_confirms_is_not_asked_back(reader: Reader) -> None:
    reader.ask(4)
    assert reader.draw(3, confirmed=True).slices == (3, 4)
    with pytest.raises(InvalidInputError, match="expected confirmed to be true or false, got 'yes'"):
        reader.draw(3, confirmed="yes")


def test_a_label_whose_client_names_the_slices_is_not_asked_back(reader: Reader) -> None:
    reader.ask(4)
    assert reader.draw(3, annotated_slices=[3, 4]).slices == (3, 4)


def test_a_drawing_that_was_confirmed_is_not_asked_back_again(reader: Reader) -> None:
    reader.ask(4)
    reader.draw(3, confirmed=True)
    assert reader.draw(3, 11).slices == (3, 4, 11)


def test_a_drawing_beside_the_query_after_an_empty_answer_is_asked_back(reader: Reader) -> None:
    """Sent too early, then drawn on the neighbour: the slice that was asked for is empty all the same."""
    reader.ask(4)
    assert reader.draw().slices == (4,)
    with pytest.raises(AskedBackError):
        reader.draw(5)


def test_a_label_of_somebody_else_confirms_nothing(reader: Reader) -> None:
    reader.ask(4)
    reader.ask(8, annotator="bob")
    with pytest.raises(AskedBackError):
        reader.draw(3)
    with pytest.raises(AskedBackError):
        reader.draw(7, annotator="bob")
    assert reader.draw(3).slices == (3, 4)


@pytest.mark.parametrize("slices", [(), (4,), (4, 5), (4, 9)])
def test_an_answer_that_no_miscount_explains_is_not_asked_back(reader: Reader, slices: Sequence[int]) -> None:
    reader.ask(4)
    assert set(reader.draw(*slices).slices or ()) == {4, *slices}
