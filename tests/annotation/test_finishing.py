"""What is a draft, and what is a model's own drawing: labels as clients send them, on an archive of one image."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from small_studies import write_nifti

from activelabel.acquisition.score import Score
from activelabel.annotation.archive import Kept, LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.grids import Grid
from activelabel.data.labels.label_texts import parse_labels
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.server.client_info import read_label_info
from activelabel.store.case_states import DraftReason, FinishedBy
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import Annotation, Draft

SLICES = 12
GRID = Grid((6, 6, SLICES), np.diag([1.0, 1.0, 2.5, 1.0]))
STROKE = (0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0)
WHOLE = (0, 0, 1, 4, 9, 12, 9, 4, 1, 0, 0, 0)
NOTHING = (0,) * SLICES


def drawing(areas: Sequence[int], rest: int = 0) -> np.ndarray:
    """So many voxels on each slice, one after the other, and all others of the value `rest`."""
    array = np.full(GRID.shape, rest, np.uint8)
    for index, area in enumerate(areas):
        array[:, :, index].flat[:area] = 1
    return array


class Case:
    """An image `a` among four, and what a client sends of it."""

    def __init__(
        self,
        folder: Path,
        finished_by: FinishedBy = FinishedBy.ESTIMATE,
        asks_slices: bool = False,
        labels: Sequence[str] = ("ball",),
    ) -> None:
        self.folder = folder
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
        self.ledger.sync_images("abcd", 1)
        (self.validation,) = (image.id for image in self.ledger.images() if image.role == "validation")
        self.training = next(image.id for image in self.ledger.images() if image.role == "training")
        reader = HistoryReader(self.ledger, labels, folder / "labels", folder / "predictions", asks_slices)
        self.archive = LabelArchive(self.ledger, reader, "acquisition", finished_by)

    def ask(self, annotator: str, slices: Sequence[int] | None = None, image_id: str = "") -> None:
        assert self.ledger.grant_lease(annotator, image_id or self.training, 30, "random", slices=slices) is not None

    def send(self, annotator: str, areas: Sequence[int], image_id: str = "", rest: int = 0, **info: Any) -> Kept:
        file = write_nifti(self.folder / "sent.nii.gz", drawing(areas, rest), GRID.affine_ras)
        image_id, answers_any = image_id or self.training, info.pop("answers_any", False)
        said = {"client_id": annotator, **info}
        return self.archive.keep(image_id, "final", file, GRID, read_label_info(said), answers_any=answers_any)

    def publish(self, dice: float | None = 0.8) -> int:
        return self.ledger.publish_model("m", "0", "quick", ["ball"], {"dice": dice}, []).version

    def show(self, version: int, areas: Sequence[int], image_id: str = "") -> Path:
        """What the server keeps when a model shows a mask."""
        folder = self.folder / "predictions" / (image_id or self.training)
        folder.mkdir(parents=True, exist_ok=True)
        return write_nifti(folder / f"{version}.nii.gz", drawing(areas), GRID.affine_ras)

    def opens_with(self) -> list[int] | None:
        """What Slicer would load with the image, in voxels a slice."""
        label = self.ledger.current_annotation(self.training, "original")
        if label is None:
            return None
        array = np.asarray(nibabel.load(self.folder / "labels" / label.file).dataobj)
        return [int(area) for area in np.count_nonzero(array, axis=(0, 1))]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def is_draft(kept: Kept, reason: DraftReason) -> bool:
    return isinstance(kept, Draft) and kept.reason is reason


def test_a_volume_with_one_stroke_is_a_draft(case: Case) -> None:
    case.ask("ann")
    kept = case.send("ann", STROKE)
    assert is_draft(kept, DraftReason.INCOMPLETE)
    assert kept.why == (
        "kept as a draft: something is drawn on 1 of 12 slices, and it ends where it is still wide: draw on, or send "
        "it once more as it is if it is finished"
    )
    assert case.ledger.progress().annotated_slices == 0
    assert case.ledger.annotations() == []
    assert case.ledger.active_lease("ann") is not None
    assert case.opens_with() == list(STROKE)


@pytest.mark.parametrize("value", [2, 3])
def test_background_and_ignored_voxels_do_not_make_a_stroke_look_complete(tmp_path: Path, value: int) -> None:
    """The label fills the rest of the volume with the other value, as a filled background or a mask of the body."""
    case = Case(tmp_path, labels=parse_labels(["ball=1", "background=2", "ignore=3"], "test"))
    kept = case.send("ann", STROKE, rest=value)
    assert is_draft(kept, DraftReason.INCOMPLETE)
    assert "something is drawn on 1 of 12 slices, and it ends where it is still wide" in kept.why
    kept = case.send("ann", NOTHING, rest=value)
    assert isinstance(kept, Draft)
    assert "nothing is drawn" in kept.why
    finished = case.send("ann", WHOLE, rest=value)
    assert isinstance(finished, Annotation)
    assert finished.foreground_slices == 7
    again = case.send("ann", STROKE, rest=value)  # compared with the label that counts now
    assert isinstance(again, Draft)
    assert "while the label that counts has something on 7" in again.why


def test_an_empty_volume_is_a_draft_until_it_is_sent_again(case: Case) -> None:
    assert is_draft(case.send("ann", NOTHING), DraftReason.INCOMPLETE)
    assert isinstance(case.send("ann", NOTHING), Annotation)  # told, and sent again: there is nothing on it


def test_a_volume_that_looks_complete_is_finished(case: Case) -> None:
    case.ask("ann")
    kept = case.send("ann", WHOLE)
    assert isinstance(kept, Annotation)
    assert (kept.slices, kept.covered_slices, kept.foreground_slices) == (None, SLICES, 7)
    assert case.ledger.active_lease("ann") is None


def test_the_same_drawing_sent_again_is_finished_and_a_longer_one_is_judged_anew(case: Case) -> None:
    case.ask("ann")
    case.send("ann", STROKE)
    more = (0, 0, 0, 0, 7, 5, 7, 0, 0, 0, 0, 0)
    assert is_draft(case.send("ann", more), DraftReason.INCOMPLETE)
    kept = case.send("ann", more)
    assert isinstance(kept, Annotation)
    assert kept.slices is None
    assert case.ledger.open_drafts() == []
    assert [draft.version for draft in case.ledger.draft_history(case.training)] == [1, 2]


def test_the_same_drawing_by_somebody_else_confirms_nothing(case: Case) -> None:
    case.send("ann", STROKE)
    assert is_draft(case.send("bob", STROKE), DraftReason.INCOMPLETE)


@pytest.mark.parametrize("said", [{"finished": True}, {"confirmed": True}, {"annotated_slices": "all"}])
def test_a_client_may_say_that_it_is_finished(case: Case, said: dict[str, Any]) -> None:
    kept = case.send("ann", STROKE, **said)
    assert isinstance(kept, Annotation)
    assert kept.slices is None


def test_a_label_that_its_client_calls_unfinished_is_a_draft(case: Case) -> None:
    case.ask("ann")
    assert is_draft(case.send("ann", WHOLE, finished=False), DraftReason.SAID)
    assert is_draft(case.send("ann", WHOLE, finished=False), DraftReason.SAID)  # its client keeps it every 30 s
    assert len(case.ledger.draft_history(case.training)) == 1
    assert isinstance(case.send("ann", WHOLE), Annotation)


@pytest.mark.parametrize("key", ["finished", "confirmed"])
def test_a_flag_that_is_neither_true_nor_false_is_refused(case: Case, key: str) -> None:
    with pytest.raises(InvalidInputError, match=f"params: expected {key} to be true or false, got 'yes'"):
        case.send("ann", WHOLE, **{key: "yes"})
    assert case.ledger.open_drafts() == []


def test_in_a_project_finished_by_the_client_an_unstated_volume_is_a_draft(tmp_path: Path) -> None:
    case = Case(tmp_path, FinishedBy.CLIENT)
    assert is_draft(case.send("ann", WHOLE), DraftReason.UNSTATED)
    assert isinstance(case.send("ann", WHOLE), Annotation)


def test_in_a_project_finished_by_saving_every_label_is_finished(tmp_path: Path) -> None:
    assert isinstance(Case(tmp_path, FinishedBy.SAVING).send("ann", STROKE), Annotation)


def test_an_answer_to_a_query_for_slices_is_finished(tmp_path: Path) -> None:
    case = Case(tmp_path, asks_slices=True)
    case.ask("ann", [5, 7])
    kept = case.send("ann", STROKE)
    assert isinstance(kept, Annotation)
    assert kept.slices == (5, 7)


def test_a_finished_draft_of_slices_covers_everything_drawn_in_it(tmp_path: Path) -> None:
    case = Case(tmp_path, asks_slices=True)
    case.ask("ann", [5, 7])
    draft = case.send("ann", (0, 3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0), finished=False)
    assert isinstance(draft, Draft)
    assert draft.slices == (5, 7)
    kept = case.send("ann", (0, 3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0))
    assert isinstance(kept, Annotation)
    assert kept.slices == (1, 5, 7)  # slice 1 too, though it was on the screen since the draft


def test_a_loaded_draft_of_somebody_else_is_not_covered(tmp_path: Path) -> None:
    case = Case(tmp_path, asks_slices=True)
    case.ask("bob", [2])
    case.send("bob", (0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0), finished=False)
    case.ask("ann", [5])
    kept = case.send("ann", (0, 0, 6, 0, 0, 5, 0, 0, 0, 0, 0, 0))
    assert isinstance(kept, Annotation)
    assert kept.slices == (5,)


def test_named_slices_of_a_draft_count_and_the_draft_stays_open(case: Case) -> None:
    case.ask("ann")
    case.send("ann", (0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0), finished=False)
    kept = case.send("ann", (0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0), annotated_slices=[3])
    assert isinstance(kept, Annotation)
    assert kept.slices == (3,)
    assert case.opens_with() == [0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]
    assert case.ledger.open_draft(case.training, "ann") is not None


@pytest.mark.parametrize(("dice", "believed"), [(0.8, True), (0.4, False), (None, False)])
def test_a_credible_model_that_scored_the_case_says_what_is_missing(
    case: Case, dice: float | None, believed: bool
) -> None:
    dab = (0, 0, 0, 1, 4, 1, 0, 0, 0, 0, 0, 0)
    version = case.publish(dice)
    seen = (0.0, 0.0, 2.0, 6.0, 9.0, 12.0, 12.0, 9.0, 6.0, 2.0, 0.0, 0.0)
    score = Score("foreground", "everything", "total", sum(seen), seen)
    case.ledger.record_scores(version, case.training, [score], 1, 0)
    kept = case.send("ann", dab)
    assert is_draft(kept, DraftReason.INCOMPLETE) == believed
    if isinstance(kept, Draft):
        assert "something is drawn on 3 of 12 slices, while model 1 sees something on 8" in kept.why


def test_the_mask_of_the_model_in_use_outranks_its_scores(case: Case) -> None:
    case.show(case.publish(), (0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0))
    assert isinstance(case.send("ann", STROKE), Annotation)  # it ends abruptly, but the model sees the same


def two_structures(second: int) -> np.ndarray:
    """A whole ball, and so many voxels of a second structure on one of its slices."""
    array = drawing(WHOLE)
    array[:, :, 5].flat[-second or array.size :] = 2
    return array


@pytest.mark.parametrize(
    ("dice_of_tail", "seen", "draft"),
    [
        (0.7, 10, True),
        (0.4, 10, False),  # the model cannot tell this structure
        (None, 10, False),
        (0.7, 0, False),
        (0.9, 1, True),  # 1 of 41 voxels
    ],
)
def test_a_structure_that_a_credible_model_sees_and_nobody_drew_is_asked_back(
    tmp_path: Path, dice_of_tail: float | None, seen: int, draft: bool
) -> None:
    case = Case(tmp_path, labels=("ball", "tail"))
    metrics = {"dice": 0.8, "dice_ball": 0.8, "dice_tail": dice_of_tail}
    version = case.ledger.publish_model("m", "0", "quick", ["ball", "tail"], metrics, []).version
    write_nifti(case.show(version, WHOLE), two_structures(seen), GRID.affine_ras)
    kept = case.send("ann", WHOLE)
    assert is_draft(kept, DraftReason.INCOMPLETE) is draft
    if draft:
        assert isinstance(kept, Draft)
        assert f"nothing of tail is drawn, while model {version} sees {seen} voxels of it: draw on" in kept.why
        assert isinstance(case.send("ann", WHOLE), Annotation)


def test_a_structure_that_the_finished_label_has_does_not_vanish_unasked(tmp_path: Path) -> None:
    case = Case(tmp_path, labels=("ball", "tail"))
    file = write_nifti(tmp_path / "both.nii.gz", two_structures(8), GRID.affine_ras)
    info = read_label_info({"client_id": "ann"})
    assert isinstance(case.archive.keep(case.training, "final", file, GRID, info), Annotation)
    kept = case.send("ann", WHOLE)
    assert isinstance(kept, Draft)
    assert "nothing of tail is drawn, while the label that counts has 8 voxels of it" in kept.why
    assert isinstance(case.send("ann", WHOLE), Annotation)


def test_a_correction_is_compared_with_the_finished_volume(case: Case) -> None:
    case.send("ann", WHOLE)
    assert is_draft(case.send("ann", STROKE), DraftReason.INCOMPLETE)
    current = case.ledger.current_annotation(case.training)
    assert current is not None
    assert current.foreground_slices == 7
    assert isinstance(case.send("ann", (0, 0, 0, 5, 9, 12, 9, 4, 1, 0, 0, 0)), Annotation)


def test_an_unchanged_drawing_of_a_model_is_recorded_and_finished(case: Case) -> None:
    version = case.publish()
    case.show(version, WHOLE)
    kept = case.send("ann", WHOLE)
    assert isinstance(kept, Annotation)
    assert kept.unchanged_from == version
    corrected = (0, 0, 1, 4, 9, 12, 9, 5, 1, 0, 0, 0)
    kept = case.send("ann", corrected)
    assert isinstance(kept, Annotation)
    assert kept.unchanged_from is None


@pytest.mark.parametrize("again", [{}, {"confirmed": True}], ids=["the same again", "confirmed"])
def test_an_unchanged_drawing_of_a_model_needs_confirmation_on_a_validation_case(
    case: Case, again: dict[str, Any]
) -> None:
    version = case.publish()
    case.show(version, WHOLE, case.validation)
    case.ask("ann", image_id=case.validation)
    kept = case.send("ann", WHOLE, case.validation, finished=True)
    assert is_draft(kept, DraftReason.UNCONFIRMED)
    assert kept.why == (
        "kept as a draft: the case judges models, and the label is exactly what model 1 drew: look it over, correct "
        "it, or send it once more as it is if it is right"
    )
    assert case.ledger.annotations("validation") == []
    kept = case.send("ann", WHOLE, case.validation, **again)
    assert isinstance(kept, Annotation)
    assert kept.unchanged_from == version
    assert case.ledger.open_drafts() == []


def test_an_automatic_draft_of_a_client_confirms_nothing(case: Case) -> None:
    case.show(case.publish(), WHOLE, case.validation)
    case.send("ann", WHOLE, case.validation, finished=False)
    assert is_draft(case.send("ann", WHOLE, case.validation), DraftReason.UNCONFIRMED)


def test_a_corrected_validation_case_needs_no_confirmation(case: Case) -> None:
    case.show(case.publish(), WHOLE, case.validation)
    assert isinstance(case.send("ann", (0, 0, 1, 4, 9, 12, 9, 4, 2, 0, 0, 0), case.validation), Annotation)


def test_an_unchanged_drawing_of_an_older_model_is_found_beside_an_unreadable_mask(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    case.show(case.publish(), WHOLE)
    case.show(case.publish(), WHOLE).write_bytes(b"torn")
    with caplog.at_level(logging.WARNING):
        kept = case.send("ann", WHOLE)
    assert isinstance(kept, Annotation)
    assert kept.unchanged_from == 1
    assert "2.nii.gz" in caplog.text


def test_a_seg_of_an_unknown_sender_is_a_draft_of_the_asked_reader_and_finished_when_sent_again(case: Case) -> None:
    case.ask("10.0.0.7")
    draft = case.send("PACS", STROKE, answers_any=True)
    assert isinstance(draft, Draft)
    assert draft.annotator == "10.0.0.7"
    assert isinstance(case.send("PACS", STROKE, answers_any=True), Annotation)
    assert case.ledger.open_drafts() == []
    assert case.ledger.active_lease("10.0.0.7") is None


def test_a_draft_may_be_finished_without_being_sent_again(case: Case) -> None:
    case.ask("ann")
    case.send("ann", STROKE, finished=False)
    kept = case.archive.finish(case.training, "ann", GRID)
    assert (kept.slices, kept.foreground_slices) == (None, 1)
    with pytest.raises(NotFoundError, match=f"image '{case.training}': ann has no draft of it: save one first"):
        case.archive.finish(case.training, "ann", GRID)
