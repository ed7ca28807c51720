"""The host's datastore of a PACS, with the ledger as the only record of labels.

The images are the series that the host's search filter finds; their ids are the UIDs. Every label is first kept in
the project's archive; `SegExchange` then sends final labels to the PACS, and takes in labels of others. While the PACS
does not answer, the known images and labels stay, and labels to send wait.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Hashable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from monailabel.datastore.local import DataModel

from activelabel.annotation.archive import Kept, LabelArchive
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.studies_folder import lines_on
from activelabel.data.given_splits import GivenSplit
from activelabel.data.patients.given import GivenPatients, check_parts
from activelabel.data.volumes import read_grid
from activelabel.errors import ForbiddenError, UnavailableError
from activelabel.project.given.split import SETTING as SPLIT_SETTING
from activelabel.project.setting_aside import readmit_for_memory
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.datastores.listed import ListedImage
from activelabel.server.datastores.listed_images import ListedImages
from activelabel.server.pacs.blind_view import BlindView, Segmentations
from activelabel.server.pacs.channel_series import SeriesRule
from activelabel.server.pacs.client import Pacs
from activelabel.server.pacs.label_rtstruct import label_rtstruct
from activelabel.server.pacs.modality import find_out
from activelabel.server.pacs.patients import patients_of
from activelabel.server.pacs.raw_label import nifti_of_raw
from activelabel.server.pacs.seg_exchange import SegExchange
from activelabel.server.pacs.series_cache import SeriesCache
from activelabel.server.pacs.series_images import SeriesImages
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import FINAL, Annotation

logger = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
"""Interval at which the server asks the PACS for news. A store request through the server takes effect at once."""
END_SECONDS = 1.0
"""How long the server's end waits for what is under way with the PACS."""

EXTENSION = ".nii.gz"


class PacsDatastore(LedgerDatastore):
    """The series of a PACS as images; checks their labels, keeps every version, and records them in the ledger.

    Attributes:
        pacs: the PACS.
        exchange: sends labels to it, and takes in those that others stored there.
    """

    watches_folder: ClassVar[bool] = False
    has_series: ClassVar[bool] = True

    def __init__(
        self,
        pacs: Pacs,
        cache: SeriesCache,
        view: Path,
        ledger: Ledger,
        archive: LabelArchive,
        *,
        validation_cases: int,
        follow_changes: bool,
        split: GivenSplit | None = None,
        patients: GivenPatients | None = None,
        rule: SeriesRule = SeriesRule(),  # noqa: B008 - it is frozen
    ) -> None:
        """Open the PACS, which need not answer yet.

        Args:
            pacs: the PACS with the images.
            cache: the local copies of series.
            view: folder of the project for the host's listing and for labels in the host's layout.
            ledger: the record of annotations.
            archive: checks and keeps labels.
            validation_cases: how many images get the role validation when they are first seen.
            follow_changes: poll the PACS, and store labels there; true in the server, false in its children.
            split: the given roles of images, if any.
            patients: what the settings say of patients; see `patients_of`.
            rule: which series of a study are the channels of an image.
        """
        self.pacs = pacs
        self._rule = rule
        self._series = SeriesImages(pacs, cache, rule, ledger, self._tags)
        self._segmentations = Segmentations(pacs, lambda uid: uid in self._objects)
        self.exchange = SegExchange(pacs, cache, ledger, archive, self.image_files)
        self._problem: str | None = None
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._looker: threading.Thread | None = None
        view.mkdir(parents=True, exist_ok=True)
        super().__init__(
            str(view),
            ledger,
            archive,
            validation_cases=validation_cases,
            follow_changes=follow_changes,
            images=cache.folder,
            split=split,
            patients=patients,
            layout=rule.layout,
        )
        if follow_changes:
            cache.remove_abandoned()
            self.refresh()
            self._looker = threading.Thread(target=self._keep_looking, name="pacs", daemon=True)
            self._looker.start()

    def close(self) -> None:
        """Ask the PACS for no more news, and write the listing; a question to a slow PACS is waited for a moment."""
        self._ended.set()
        super().close()
        if self._looker is not None:
            self._looker.join(END_SECONDS)

    def name(self) -> str:
        """The address of the PACS."""
        return self.pacs.address

    def status(self) -> dict[str, Any]:
        """The host's counts, the problem with the PACS, if any, and the SEGs that are not used as labels."""
        return {
            **super().status(),
            "pacs": self.pacs.address,
            "pacs_problem": self._problem,
            "pacs_refused": self.exchange.refused,
        }

    @property
    def revision(self) -> Hashable:
        """A value that changes as that of a folder does, and also with the state of the PACS."""
        return super().revision, self._problem, tuple(self.exchange.refused.items())

    def blind_view(self, images: Collection[str], person: str) -> BlindView | None:
        """The view of the PACS for a person who reads these images blind; None if they may see everything."""
        studies = {study for image_id in images if (study := self._series.study_of(image_id)) is not None}
        if not studies:
            return None
        own = {series for image_id in images for series in self.exchange.series_of(image_id, person)}
        return BlindView(frozenset(studies), frozenset(own), self._segmentations.contain)

    # Images

    def refresh(self) -> None:
        """Update images and labels from the PACS. If it does not answer, nothing changes, and `status` says why.

        Raises:
            InvalidInputError: this is the first answer of the PACS, and the given split gives a patient two roles.
        """
        with self._looking:
            try:
                images, segs = self._series.search(), self.pacs.segmentations()
                grouped = self._rule.group(images)
                if self._series.grouped is None and self._split is not None:  # later images follow their patients
                    shown = {series.uid: series.info for series in images if series.uid in grouped.channels}
                    check_parts(self._split, patients_of(shown, self._patients), SPLIT_SETTING)
                if images:  # the first images determine the modality of all
                    find_out(self.pacs, self._ledger, self._rule)
                annotated = set(self._objects.labelled())
                self._series.take_over(grouped, annotated)
                self._reconcile_datastore()
                studies = {uid: channels[0].study_uid for uid, channels in grouped.channels.items()}
                for kept in self.exchange.take_in(segs, studies):
                    self._show_kept(kept, {})
                self.exchange.send_missing(segs, studies)
            except UnavailableError as error:
                if str(error) != self._problem:
                    logger.warning("%s", error)
                self._problem = str(error)
            else:
                self._problem = None

    def get_image_uri(self, image_id: str) -> str:
        """The shown series as a NIfTI file, fetched if necessary. Raises as `SeriesImages.volume`."""
        return str(self._series.volume(image_id))

    def image_files(self, image_id: str) -> ImageFiles:
        """The series of all channels as NIfTI files, fetched if necessary. Raises as `SeriesImages.volume`."""
        return self._series.files(image_id)

    def shown_file(self, image_id: str) -> Path:
        """The file for viewers: the series of the shown channel."""
        return self._series.volume(image_id)

    def fetch(self, image_id: str, go_on: Callable[[], bool]) -> None:
        """Fetch the series of all channels, if necessary. Raises as `SeriesImages.fetch`."""
        self._series.fetch(image_id, go_on)

    def passed_over(self) -> list[str]:
        """The series that make no image because their study lacks a channel: one line for each reason."""
        return lines_on(self._series.passed_over())

    def patients(self) -> dict[str, str]:
        """The patient of each series, as far as settings and PACS tell."""
        return patients_of({uid: shown.image.info for uid, shown in self._objects.items()}, self._patients)

    def _told_of(self) -> object:
        return super()._told_of(), self.patients()

    def readmit_mended(self, at_start: bool = False) -> None:
        """Readmit, at a start, the images for which the memory was too small."""
        if at_start:
            readmit_for_memory(self._ledger)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Refuse to add an image, which only the PACS can.

        Raises:
            ForbiddenError: always.
        """
        raise ForbiddenError(f"the images are those of the PACS {self.pacs.address}: send a new one there")

    def remove_image(self, image_id: str) -> None:
        """Refuse to remove an image, which only the PACS can.

        Raises:
            ForbiddenError: always.
        """
        raise ForbiddenError(f"the images are those of the PACS {self.pacs.address}: remove it there")

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Annotated images and their labels; images are fetched if necessary."""
        for image_id in self.get_labeled_images():
            self.get_image_uri(image_id)
        return list(super().datalist(full_path))

    # Labels

    def keep_label(
        self,
        image_id: str,
        label_filename: str,
        label_tag: str,
        label_info: dict[str, Any],
        *,
        decided: bool = False,
    ) -> Kept:
        """Check, keep and record a label, then store a final label in the PACS too. A draft is only kept here.

        Beside the file types of a folder, this method accepts the raw voxels that OHIF sends.

        Raises:
            InvalidInputError: the label cannot be kept; the line says why, and the earlier label stays.
            UnavailableError: the image has to be fetched for the check, and the PACS does not answer.
        """
        with TemporaryDirectory() as folder:
            file = Path(label_filename)
            if file.suffix == ".bin":
                file = nifti_of_raw(file, read_grid(self.get_image_uri(image_id)), Path(folder))
            kept = super().keep_label(image_id, str(file), label_tag, label_info, decided=decided)
        self._send_current(image_id)
        return kept

    def rtstruct(self, image_id: str, tag: str) -> bytes:
        """The current label as DICOM RTSTRUCT.

        Raises:
            NotFoundError: there is no such label, or nothing is drawn in it.
            InvalidInputError: its file has changed since it was kept, or its series lacks attributes.
            UnavailableError: the series has to be fetched, and the PACS does not answer.
        """
        file, annotation = self.label_file(image_id, tag), self._ledger.current_annotation(image_id, tag)
        assert annotation is not None
        return label_rtstruct(file, annotation, self.series_folder(image_id), self._archive.labels)

    def series_folder(self, image_id: str) -> Path:
        """The folder with the shown series' DICOM files, fetched if necessary. Raises as `SeriesImages.slices`."""
        return self._series.slices(image_id)

    def finish_draft(self, image_id: str, annotator: str) -> Annotation:
        """Make a draft the final label, and store it in the PACS too."""
        kept = super().finish_draft(image_id, annotator)
        self._send_current(image_id)
        return kept

    def _send_current(self, image_id: str) -> None:
        annotation = self._ledger.current_annotation(image_id, FINAL)
        if annotation is not None and self._follows:
            self.exchange.send(annotation, self._series.study_of(image_id))

    # Updates from the PACS

    def _keep_looking(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self.refresh()
            except Exception:
                logger.exception("could not look into the PACS; it is tried again")

    def _forget_copies(self, gone: Mapping[str, ListedImage]) -> None:
        """Remove what is kept of series that are gone, and their copies; one that comes back is fetched again."""
        self._series.forget({uid: shown.image.info for uid, shown in gone.items()})
        super()._forget_copies(gone)

    def _find_images(self) -> ListedImages:
        """The series of the PACS; until it answers, the series of its last answer."""
        shown, now = self._objects, int(time.time())
        return ListedImages.of(
            {
                image_id: ListedImage.of(
                    image_id,
                    DataModel(info={"ts": now, **info, "name": f"{image_id}{EXTENSION}"}, ext=EXTENSION),
                    shown[image_id].labels if image_id in shown else None,
                )
                for image_id, info in self._series.listed().items()
            }
        )

    def _take_in_foreign_labels(self, current: object) -> None:
        """Do nothing: labels of others come from the PACS, and the folder of labels is only a view."""

    def _tags(self, image_id: str) -> dict[str, Any] | None:
        """What the listing says of an image; None if it does not list it."""
        shown = self._objects.get(image_id)
        return shown.image.info if shown else None
