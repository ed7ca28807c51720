"""Actions of reviewers: take a label for review, approve it, return it; also from Slicer's own reviewer module."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from activelabel.annotation.agreement import merged
from activelabel.annotation.archive import Kept
from activelabel.annotation.coverage import WHOLE
from activelabel.annotation.history_reader import ORIGINAL
from activelabel.data.label_checking import check_label, write_label
from activelabel.data.slice_places import SlicePlaces, slice_places
from activelabel.data.volumes import read_grid
from activelabel.errors import ActiveLabelError, NotReadyError
from activelabel.project.project import Project
from activelabel.project.slices.slicing import fixed_axis
from activelabel.server.actions.case_answers import Decided, ReadingsOfCase, ReviewAnswer, ReviewTaken
from activelabel.server.actions.slice_answers import slices_asked
from activelabel.server.actions.worklist import review_of_case
from activelabel.server.client_info import annotator_of
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.datastores.listed import COVERED, covered_slices
from activelabel.server.datastores.segmentation_meta import KEY, SegmentationMeta, read_meta
from activelabel.store.case_states import CaseEvent, Verdict, refusal
from activelabel.store.records.labels import FINAL, Annotation
from activelabel.store.records.reviews import Difficulty, Reading

logger = logging.getLogger(__name__)

_DIFFER = (
    "has two readings that differ, and approving does not say which counts: take one, or both merged (POST "
    "/activelabel/adjudicate, or the panels of OHIF and Slicer after the case is taken for review again), approve "
    "'final' or 'reading_2' in MONAI Label Reviewer, approve a correction of yours, or return the label"
)
_READ_AGAIN = "a reading has changed since you opened it: look at both again"

Taken = Literal["first", "second", "staple"]
"""Which label counts after two readings have differed."""


class ReviewActions:
    """Reviews of labels, which the routes call for reviewers."""

    def __init__(self, project: Project, datastore: LedgerDatastore, look_for_work: Callable[[], None]) -> None:
        """Review the labels of `project`, which `datastore` shows; `look_for_work` is called after each decision."""
        self._project = project
        self._datastore = datastore
        self._look_for_work = look_for_work

    def take(self, params: Mapping[str, Any], image_id: str | None) -> ReviewAnswer:
        """Give a label to a reviewer: that of an image, or the next one that waits.

        They get it also if its image cannot be read now: then `plane` is None and `covered` is empty.

        Raises:
            NotReadyError: the image has no label to review, it is their own, or somebody else reviews it.
        """
        ledger = self._project.ledger
        review = ledger.take_for_review(annotator_of(params), self._project.settings.lease_minutes, image_id)
        label = None if review is None else ledger.current_annotation(review.image_id)
        if review is None or label is None or review.expires_at is None:
            return ReviewAnswer(review=None)
        slices = None if label.slices is None else list(label.slices)
        places = None if slices is None else self._places(review.image_id)
        taken = ReviewTaken(
            image=review.image_id,
            version=label.version,
            annotator=label.annotator,
            slices=slices,
            plane=places and places.plane,
            covered=slices_asked(places, slices) if places and slices else [],
            expires=review.expires_at,
            readings=self._readings(review.image_id),
        )
        return ReviewAnswer(review=taken)

    def _places(self, image_id: str) -> SlicePlaces | None:
        """Where the slices of an image lie; None if that cannot be said now: the reviewer holds the case already."""
        try:
            grid = read_grid(self._datastore.image_files(image_id))
            return slice_places(grid, fixed_axis(self._project.ledger, image_id, grid, self._project.slice_plane))
        except ActiveLabelError as error:
            logger.warning("the reviewer of '%s' is not told where its slices lie: %s", image_id, error)
            return None

    def _readings(self, image_id: str) -> ReadingsOfCase | None:
        """Two readings of an image that differ, between which somebody has to decide."""
        reading = self._project.ledger.disagreements().get(image_id)
        if reading is None or not self._project.ledger.between_shown(reading):
            return None
        drawn_by = {label.id: label.annotator for label in self._project.ledger.history(image_id)}
        return ReadingsOfCase(
            first=drawn_by[reading.first_id], second=drawn_by[reading.second_id], agreement=reading.in_words
        )

    def decide(
        self,
        params: Mapping[str, Any],
        image_id: str,
        verdict: Verdict,
        note: str = "",
        difficulty: Difficulty | None = None,
        version: int | None = None,
        *,
        listed: bool = True,
        chosen: bool = False,
        between: tuple[int, int] | None = None,
    ) -> Decided:
        """Approve a label, or return it to its annotator.

        Args:
            params: the request, for the name of the reviewer.
            image_id: the image.
            verdict: the decision.
            note: what the annotator should correct, or know.
            difficulty: of the case, if the reviewer says it.
            version: that of the label before the reviewer; None for the one that counts.
            listed: as in `LedgerDatastore.show_decision`.
            chosen: whether the reviewer has said that this one counts, if it is one of two readings that differ.
            between: the ids of the two readings that differ, of which they approve the first.

        Raises:
            NotReadyError: the label cannot be decided about now, or is one of two readings that differ and is approved
                without a word on the other; the line says why.
            InvalidInputError: a label is returned without a note.
        """

        def check(reading: Reading | None) -> None:
            if between != (None if reading is None else (reading.first_id, reading.second_id)):
                raise NotReadyError(f"image '{image_id}'{f' {_DIFFER}' if between is None else f': {_READ_AGAIN}'}")

        review = self._project.ledger.decide(
            image_id,
            annotator_of(params),
            verdict,
            note,
            difficulty=difficulty,
            version=version,
            shown_as=ORIGINAL,
            check=None if chosen or verdict is Verdict.RETURNED else check,
        )
        logger.info("label of '%s' is %s by %s: %s", image_id, review.outcome, review.reviewer, review.note)
        self._datastore.show_decision(review, listed=listed)
        self._look_for_work()
        state = self._project.ledger.case_facts(image_id).state
        return Decided(image=image_id, state=state, review=review_of_case(review))

    def adjudicate(
        self,
        params: Mapping[str, Any],
        image_id: str,
        take: Taken,
        note: str = "",
        difficulty: Difficulty | None = None,
    ) -> Decided:
        """Decide between two readings that differ: the first, the second, or one label merged of both by STAPLE.

        A reviewer who corrects the label instead sends theirs, and approves it.

        Raises:
            NotReadyError: the image has no two readings that differ, or a newer label of a third person; the reviewer
                has drawn one of them; or one was sent again since they took the label for review.
        """
        who = annotator_of(params)
        first, second = self._to_decide_between(image_id, who)
        self._require_may_approve(image_id, who)
        info = {COVERED: WHOLE, "finished": True, "confirmed": True}
        chosen: Kept = first
        if take == "second":
            file = self._datastore.kept_file(second)
            self._end_own_review(image_id, who)  # the label that they have before them is replaced by themselves
            as_second = {**info, "client_id": second.annotator}
            chosen = self._datastore.keep_label(image_id, str(file), FINAL, as_second, decided=True)
        elif take == "staple":
            with TemporaryDirectory() as folder:
                file = self._write_merged(first, second, Path(folder))
                self._require_still(image_id, who, first, second)  # merging took seconds
                self._end_own_review(image_id, who)
                as_own = {**info, "client_id": who}
                chosen = self._datastore.keep_label(image_id, str(file), FINAL, as_own, decided=True)
        seen = (params, image_id, Verdict.APPROVED, note or f"of two readings: {take}", difficulty, chosen.version)
        if chosen is first:
            return self.decide(*seen, between=(first.id, second.id))
        return self.decide(*seen, chosen=True)

    def _to_decide_between(self, image_id: str, who: str) -> tuple[Annotation, Annotation]:
        """The two readings between which a reviewer decides. Raises NotReadyError as `adjudicate`."""
        ledger = self._project.ledger
        reading = ledger.disagreements().get(image_id)
        if reading is None:
            raise NotReadyError(f"image '{image_id}' has no two readings about which somebody has to decide")
        if not ledger.between_shown(reading):
            raise NotReadyError(
                f"image '{image_id}' has a newer label than its two readings: approve that one, or return it"
            )
        kept = {label.id: label for label in ledger.history(image_id)}
        first, second = kept[reading.first_id], kept[reading.second_id]
        if who in (first.annotator, second.annotator):
            raise NotReadyError(f"image '{image_id}' was read by you: somebody else has to decide between the readings")
        # Also if they do not hold the label any more: they have taken another one since, or too much time has passed.
        opened = [review.begun_at for review in ledger.reviews(image_id) if review.reviewer == who and review.begun_at]
        if opened and reading.created_at > max(opened):
            raise NotReadyError(f"image '{image_id}': {_READ_AGAIN}")
        return first, second

    def _require_still(self, image_id: str, who: str, first: Annotation, second: Annotation) -> None:
        """Raise NotReadyError unless these are still the two readings."""
        if [one.id for one in self._to_decide_between(image_id, who)] != [first.id, second.id]:
            raise NotReadyError(f"image '{image_id}': {_READ_AGAIN}")

    def _require_may_approve(self, image_id: str, who: str) -> None:
        """Refuse what the machine refuses, before anything changes. Raises NotReadyError."""
        problem = refusal(CaseEvent.APPROVE, self._project.ledger.case_facts(image_id), who)
        if problem is not None:
            raise NotReadyError(f"image '{image_id}' {problem}")

    def _end_own_review(self, image_id: str, reviewer: str) -> None:
        held = self._project.ledger.open_review(reviewer)
        if held is not None and held.image_id == image_id:
            self._project.ledger.end_review(reviewer)

    def _write_merged(self, first: Annotation, second: Annotation, folder: Path) -> Path:
        grid = read_grid(self._datastore.image_files(first.image_id))
        one, other = (
            check_label(self._datastore.kept_file(label), grid, self._project.labels, as_kept=True).array
            for label in (first, second)
        )
        write_label(folder / "merged.nii.gz", merged(one, other), grid.affine_ras)
        return folder / "merged.nii.gz"

    def note_label_info(self, image_id: str, tag: str, info: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        """Do what Slicer's reviewer module says about the label of a tag, if it says anything new.

        An approved `final` label is approved, a flagged one returned. A label of another tag is a reviewer's
        correction: approved, it becomes the final label; flagged, it decides nothing unless it is the final label.

        Args:
            image_id: the image.
            tag: the tag of the label.
            info: the new information about the label.
            params: the request, for the name of the reviewer.

        Raises:
            InvalidInputError: `segmentationMeta` is no object of texts.
            NotReadyError: the label cannot be decided about now; the line says why.
        """
        meta = read_meta(info)
        if meta != read_meta(self._datastore.get_label_info(image_id, tag)):
            self._follow(image_id, tag, meta, params)

    def note_correction(self, image_id: str, tag: str, info: Mapping[str, Any]) -> None:
        """Do what Slicer's reviewer module says about a correction that it has just sent under a tag of its own.

        Raises:
            InvalidInputError: `segmentationMeta` is no object of texts.
            NotReadyError: the label cannot be decided about now; the line says why.
        """
        self._follow(image_id, tag, read_meta(info), {key: info[key] for key in ("client_id", "user") if key in info})

    def _follow(self, image_id: str, tag: str, meta: SegmentationMeta | None, params: Mapping[str, Any]) -> None:
        """Decide what the module says about the label of a tag, if it decides anything."""
        if meta is None or meta.verdict is None:
            return
        who = {"client_id": meta.reviewer, **params}
        corrects = tag != FINAL and not self._is_final(image_id, tag)
        if corrects and meta.verdict is Verdict.RETURNED:
            return
        if corrects:
            self._require_may_approve(image_id, annotator_of(who))
            self._make_final(image_id, tag, who)
        self.decide(who, image_id, meta.verdict, meta.note, meta.difficulty, listed=tag == FINAL, chosen=True)

    def _is_final(self, image_id: str, tag: str) -> bool:
        """Whether the label of a tag is the drawing that counts; equal drawings are kept as equal files."""
        label, final = (self._project.ledger.current_annotation(image_id, one) for one in (tag, FINAL))
        return label is not None and final is not None and label.sha256 == final.sha256

    def _make_final(self, image_id: str, tag: str, who: Mapping[str, Any]) -> None:
        """Make a reviewer's correction the final label.

        What the module says of the final label stays listed: it sends that again, and this is then no news.
        """
        final = self._project.ledger.current_annotation(image_id, FINAL)
        listed = {} if final is None else self._datastore.get_label_info(image_id, FINAL)
        info = {
            "client_id": annotator_of(who),
            COVERED: WHOLE if final is None else covered_slices(final),
            "finished": True,
            "confirmed": True,
            **({KEY: listed[KEY]} if KEY in listed else {}),
        }
        file = self._datastore.label_file(image_id, tag)
        self._datastore.keep_label(image_id, str(file), FINAL, info, decided=True)


def decides(info: Mapping[str, Any]) -> bool:
    """Whether information about a label holds a reviewer's decision, for which a reviewer's role is needed."""
    meta: SegmentationMeta | None = read_meta(info)
    return meta is not None and meta.verdict is not None
