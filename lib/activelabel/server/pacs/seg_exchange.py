"""Exchange of labels with the PACS: sends final labels as DICOM SEG, and takes in segmentations that others stored.

Both SEG and RTSTRUCT are taken in; of an RTSTRUCT, only the structures that are labels of the project.

The UID of a sent SEG is derived from the label version. A label that was taken in is kept in a file whose name has
the UID of its SEG and the checksum of the content of that SEG. The ledger therefore tells, even after a crash, which
labels were exchanged, and which taken-in labels were changed by a merge with slices drawn before; and sending a
label twice has the same effect as sending it once.
"""

import logging
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from activelabel.annotation.archive import Kept, LabelArchive
from activelabel.annotation.label_info import LabelInfo
from activelabel.data.dicom_objects.labels import read_dicom_label, referenced_series
from activelabel.data.dicom_objects.rtstruct import is_rtstruct
from activelabel.data.files.digest import file_sha256
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.label_checking import check_label, write_label
from activelabel.data.volumes import read_grid
from activelabel.errors import AskedBackError, InvalidInputError, UnavailableError
from activelabel.project.readability import note_image
from activelabel.server.pacs.client import Pacs, Series
from activelabel.server.pacs.series_cache import SeriesCache
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import FINAL, Annotation, Draft

logger = logging.getLogger(__name__)

_TAKEN_IN = re.compile(r"seg-(?P<uid>[0-9.]+)(-(?P<sha256>[0-9a-f]{64}))?\.nii\.gz")
"""File name of a label that was taken in. Labels from before merging existed have no checksum in the name."""


class SegExchange:
    """Exchanges labels between the ledger and a PACS. Only `send` may run in several threads at once.

    Attributes:
        senders: by series, the user who stored a SEG through this server.
    """

    def __init__(
        self,
        pacs: Pacs,
        cache: SeriesCache,
        ledger: Ledger,
        archive: LabelArchive,
        files_of: Callable[[str], ImageFiles],
    ) -> None:
        """`files_of` gives the files of an image, fetched if necessary."""
        self._pacs = pacs
        self._cache = cache
        self._ledger = ledger
        self._archive = archive
        self._files_of = files_of
        self._refused: dict[str, str] = {}
        self._drafts: dict[str, str] = {}
        self.senders: dict[str, str] = {}
        self._judged: set[str] = set()  # series of SEGs that were taken in, refused, or are ours
        self._settled: set[int] = set()  # annotations that were sent, or never can be
        self._sending: set[int] = set()  # annotations that a thread is sending
        self._sent = threading.Condition()

    @property
    def refused(self) -> dict[str, str]:
        """By series, why a SEG that others stored is not used as a label; since the start of the server."""
        return dict(self._refused)

    @property
    def drafts(self) -> dict[str, str]:
        """By series, why a SEG is kept as a draft; since the start of the server."""
        return dict(self._drafts)

    def note_sender(self, series: Collection[str], name: str) -> None:
        """Record who sends these series to the PACS: the annotator of each SEG, whatever author the SEG names."""
        self.senders.update(dict.fromkeys(series, name))

    def take_in(self, segs: Sequence[Series], studies: Mapping[str, str]) -> list[Kept]:
        """Keep new SEGs as final labels of their images, or as drafts, oldest first.

        A SEG that fails the checks of labels is passed over, with the reason in `refused` and in the log.

        Args:
            segs: the segmentations that the PACS has.
            studies: the study of each image.

        Returns:
            The kept labels and drafts.

        Raises:
            UnavailableError: the PACS stopped answering; the rest is taken in next time.
        """
        images = defaultdict(list)
        for image_id, study_uid in studies.items():
            images[study_uid].append(image_id)
        new = defaultdict(list)
        for seg in segs:
            if seg.uid not in self._judged and seg.study_uid in images:
                new[seg.study_uid].append(seg)
        if new:
            logger.info("looking into new segmentations of %d studies", len(new))
        kept: list[Kept] = []
        for study_uid, found in new.items():
            kept += self._take_in_study(found, images[study_uid])
            self._judged.update(seg.uid for seg in found)
        return kept

    def send_missing(self, segs: Sequence[Series], studies: Mapping[str, str]) -> None:
        """Send the current final labels that the PACS lacks because it did not answer when they were saved."""
        stored = {seg.uid for seg in segs}
        for annotation in self._ledger.annotations():
            if seg_uid(annotation) not in stored and annotation.image_id in studies:
                self.send(annotation, studies[annotation.image_id])

    def send(self, annotation: Annotation, study_uid: str | None) -> None:
        """Store a label in the PACS, except an empty label, which SEG cannot hold, and a label taken in unchanged.

        Failures are only logged, since the label is already kept. If the PACS does not answer, the label is sent by the
        next `send_missing`.
        """
        if _is_as_taken_in(annotation):
            return
        with self._sent:  # a look at the PACS may find a label that was saved just now
            self._sent.wait_for(lambda: annotation.id not in self._sending)
            if annotation.id in self._settled:
                return
            self._sending.add(annotation.id)
        try:
            if self._send(annotation, study_uid):
                self._settled.add(annotation.id)
        finally:
            with self._sent:
                self._sending.remove(annotation.id)
                self._sent.notify_all()

    def series_of(self, image_id: str, person: str) -> set[str]:
        """The series of segmentations of an image that a person has drawn, as far as they are in the ledger."""
        labels = [label for label in self._ledger.history(image_id) if label.annotator == person]
        drafts = [draft for draft in self._ledger.open_drafts(image_id) if draft.annotator == person]
        kept: list[Annotation | Draft] = [*labels, *drafts]
        taken_in = (_source(drawing) for drawing in kept)
        sent = {series for series, sender in self.senders.items() if sender == person}
        return {seg_uid(label) for label in labels} | {uid for uid in taken_in if uid is not None} | sent

    def _send(self, annotation: Annotation, study_uid: str | None) -> bool:
        """Store a label in the PACS; whether this is settled, also if it never can be."""
        from activelabel.data.dicom_objects.seg_writing import write_seg  # highdicom takes long to import

        image_id = annotation.image_id
        try:
            file = self._archive.sound_file(annotation)
            slices = self._cache.slices(image_id, study_uid)
            uid, model = seg_uid(annotation), annotation.unchanged_from
            seg = write_seg(file, slices, self._archive.labels, uid, annotation.annotator, model)
            if seg is None:
                logger.info("the label of %s is empty: kept here, not in the PACS, as no SEG can hold it", image_id)
            else:
                self._pacs.store(seg)
                logger.info("label %d of %s is stored in the PACS", annotation.version, image_id)
        except UnavailableError as error:
            logger.warning("the label of %s is kept here and will be sent to the PACS later: %s", image_id, error)
            return False
        except InvalidInputError as error:
            logger.error("the label of %s is kept here only: %s", image_id, error)
        return True

    def _take_in_study(self, segs: Sequence[Series], image_ids: Collection[str]) -> list[Kept]:
        history = [annotation for image_id in image_ids for annotation in self._ledger.history(image_id)]
        known = {uid for annotation in history for uid in (_source(annotation), seg_uid(annotation))}
        found = []
        for series in segs:
            if series.uid not in known:
                found += [(series, max(self._pacs.instances(series), key=_made_at))]
        kept: list[Kept] = []
        for series, seg in sorted(found, key=lambda item: _made_at(item[1])):
            drawn_on = [image_id for image_id in referenced_series(seg) if image_id in image_ids]
            if not drawn_on:
                continue
            image_id = ", ".join(drawn_on)
            try:
                if len(drawn_on) > 1:
                    raise InvalidInputError(f"it says that it was drawn on {len(drawn_on)} images, expected one")
                kept.append(self._keep(series, seg, image_id))
            except InvalidInputError as error:
                self._refused[series.uid] = str(error)
                logger.warning("the %s %s of %s is not used: %s", seg.get("Modality"), series.uid, image_id, error)
        return kept

    def _keep(self, series: Series, seg: Dataset, image_id: str) -> Kept:
        image = self._files_of(image_id)
        note_image(image_id, image, self._ledger)
        grid = read_grid(image)
        label = read_dicom_label(seg, grid, self._archive.labels)
        named_author = str(seg.get("ContentCreatorName") or seg.get("OperatorsName") or "").strip() or "PACS"
        sender = self.senders.get(series.uid)
        with TemporaryDirectory() as folder:
            file = Path(folder) / "SEG.nii.gz"
            write_label(file, label.array, grid.affine_ras)
            names = None if label.is_mapped else label.names
            own_values = check_label(file, grid, self._archive.labels, names).array
            write_label(file, own_values, grid.affine_ras)
            name = f"seg-{series.uid}-{file_sha256(file)}"
            # The author may be unknown here, or have another name than the client that holds the case.
            author, unknown = sender or named_author, sender is None
            try:
                kept = self._archive.keep(image_id, FINAL, file, grid, LabelInfo(author), name, answers_any=unknown)
            except AskedBackError:
                kept = self._ledger.open_drafts(image_id)[-1]  # the one that was just kept
        if isinstance(kept, Draft):
            self._drafts[series.uid] = kept.why
        what = "draft" if isinstance(kept, Draft) else "label"
        kind = seg.get("Modality")
        logger.info("took in the %s %s as %s %d of %s", kind, series.uid, what, kept.version, image_id)
        return kept


def seg_uid(annotation: Annotation) -> str:
    """The SEG UID of a label version in the PACS, always the same for a version."""
    return str(generate_uid(entropy_srcs=["label", annotation.image_id, str(annotation.version), annotation.sha256]))


def _source(kept: Annotation | Draft) -> str | None:
    """The SEG series from which a label or a draft was taken in; None for any other."""
    taken_in = _TAKEN_IN.fullmatch(Path(kept.file).name)
    return taken_in["uid"] if taken_in else None


def _is_as_taken_in(annotation: Annotation) -> bool:
    """Whether a label was taken in and not merged with other slices."""
    taken_in = _TAKEN_IN.fullmatch(Path(annotation.file).name)
    return taken_in is not None and taken_in["sha256"] in (None, annotation.sha256)


def _made_at(seg: Dataset) -> tuple[str, str]:
    date, time = ("StructureSetDate", "StructureSetTime") if is_rtstruct(seg) else ("ContentDate", "ContentTime")
    return str(seg.get(date) or ""), str(seg.get(time) or "")
