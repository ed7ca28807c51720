"""The images that the series of a PACS make, and their files, which are fetched when somebody needs them."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from activelabel.data.files.image_files import ChannelFile, ImageFiles
from activelabel.errors import ActiveLabelError, InvalidInputError, NotFoundError, SetAsideError
from activelabel.project.modality import known_modality
from activelabel.server.pacs.channel_series import Grouped, SeriesRule
from activelabel.server.pacs.client import Pacs, Series, SeriesRefusedError
from activelabel.server.pacs.modality import image_series
from activelabel.server.pacs.series_cache import SeriesCache
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)

MOST_IN_A_ROW = 3
"""After so many series in a row that the PACS refuses it may be the PACS, not the series."""
TRIED_AGAIN_SECONDS = 600.0
"""Until an image is asked for again whose series the PACS has refused."""
REFUSED = "refused by the PACS"
"""The stamp in the ledger of an image that was set aside because the PACS refused its series."""
_INSTANCES = "instances"
_CHANNEL_SERIES = "channel_series"


class SeriesImages:
    """The images of a PACS.

    Attributes:
        grouped: the images at the last answer of the PACS; None until it has answered.
    """

    def __init__(
        self,
        pacs: Pacs,
        cache: SeriesCache,
        rule: SeriesRule,
        ledger: Ledger,
        tags: Callable[[str], Mapping[str, Any] | None],
    ) -> None:
        """Know no image yet.

        Args:
            pacs: the PACS.
            cache: the local copies of series.
            rule: which series of a study are the channels of an image.
            ledger: the images that were known before, and those that cannot be read, with why and since when: other
                processes find series refused as well, and a server readmits those of them all.
            tags: what the datastore lists of an image; None if it does not list it.
        """
        self.grouped: Grouped | None = None
        self._pacs = pacs
        self._cache = cache
        self._rule = rule
        self._ledger = ledger
        self._tags = tags
        self._refused = set[str]()  # since the PACS has last given a series
        self._counting = threading.Lock()

    def search(self) -> list[Series]:
        """The series that are images or their channels, as the PACS lists them now. Raises as `image_series`."""
        return image_series(self._pacs, known_modality(self._ledger), self._rule)

    def take_over(self, grouped: Grouped, annotated: Collection[str]) -> None:
        """Make these the images of the PACS.

        The number of slices of a series may have changed, perhaps because its upload was not complete before. Then its
        copy is fetched again, unless its image is annotated. Images whose series were refused may be asked for again.
        """
        self._readmit_refused()
        for image_id, channels in grouped.channels.items():
            tags = self._tags(image_id)
            if tags is None or tags.get(_INSTANCES) in (None, _count(channels)):
                continue
            if image_id in annotated:
                logger.warning("series %s has changed in the PACS; its label and its copy stay as they were", image_id)
                continue
            for series in channels:
                self._cache.forget(series.uid)
            self._ledger.mark_readable(image_id)
        self.grouped = grouped

    def forget(self, gone: Mapping[str, Mapping[str, Any]]) -> None:
        """Remove the copies of all series of images that are gone from the PACS, which have these tags."""
        for image_id, tags in gone.items():
            for uid in tags.get(_CHANNEL_SERIES) or (image_id,):
                self._cache.forget(str(uid))

    def listed(self) -> dict[str, dict[str, Any]]:
        """By image, the tags of its shown series for clients; before the first answer, of the images known by then."""
        if self.grouped is None:
            return {image.id: dict(self._tags(image.id) or {}) for image in self._ledger.images() if image.present}
        return {
            image_id: {**(self._tags(image_id) or {}), **self._listed(image_id, channels)}
            for image_id, channels in self.grouped.channels.items()
        }

    def passed_over(self) -> Mapping[str, str]:
        """By series, why its study makes no image."""
        return {} if self.grouped is None else self.grouped.passed_over

    def study_of(self, image_id: str) -> str | None:
        """The study UID of an image; None if the PACS has not listed it yet."""
        tags = self._tags(image_id)
        return None if tags is None else tags.get("StudyInstanceUID")

    def volume(self, image_id: str) -> Path:
        """The shown series as a NIfTI file, fetched if necessary.

        One that is no volume is set aside in the ledger; for a while so is one for which the PACS has only an error,
        unless after several in a row it gives no other either: then it is the PACS that fails.

        Raises:
            UnavailableError: the series has to be fetched, and the PACS does not answer, or gives no series.
            NotFoundError: the series has to be fetched, and the PACS no longer has it.
            SetAsideError: the series is no volume, or the PACS gives others and not this one.
        """
        return self._volumes(image_id, [image_id])[0]

    def files(self, image_id: str) -> ImageFiles:
        """The series of all channels as NIfTI files, fetched if necessary. Raises as `volume`."""
        shown = self.volume(image_id)
        layout = self._rule.layout
        if not layout.names:
            return ImageFiles(shown)
        named = zip(layout.names, self._volumes(image_id, self._channels_of(image_id)), strict=True)
        return ImageFiles(shown, tuple(ChannelFile(name, path) for name, path in named), layout.shown)

    def fetch(self, image_id: str, go_on: Callable[[], bool]) -> None:
        """Fetch the series of all channels if necessary; the image is not set aside if one cannot be had.

        Raises:
            UnavailableError: the PACS does not answer, or `go_on` has become False.
            NotFoundError: the PACS no longer has a series.
            InvalidInputError: a series is no volume.
        """
        for uid in self._channels_of(image_id) if self._rule.layout.names else [image_id]:
            self._volume(uid, self.study_of(image_id), go_on)

    def slices(self, image_id: str) -> Path:
        """The folder with the DICOM files of the shown series, fetched if necessary.

        Raises:
            UnavailableError: the series has to be fetched, and the PACS does not answer.
            NotFoundError: the series has to be fetched, and the PACS no longer has it.
            InvalidInputError: the series is no volume.
        """
        return self._cache.slices(image_id, self.study_of(image_id))

    def _volumes(self, image_id: str, series: Sequence[str]) -> list[Path]:
        """Series of an image as NIfTI files; an image with one that cannot be had is set aside in the ledger."""
        study = self.study_of(image_id)
        volumes = list[Path]()
        for uid in series:
            try:
                volumes.append(self._volume(uid, study))
            except SeriesRefusedError as error:
                if self._gives_none(uid):
                    raise
                raise self._set_aside(image_id, error, REFUSED) from error
            except InvalidInputError as error:
                raise self._set_aside(image_id, error) from error
        return volumes

    def _volume(self, uid: str, study: str | None, go_on: Callable[[], bool] = lambda: True) -> Path:
        """A series as a NIfTI file; if the PACS has given it now, this is noted. Raises as `SeriesCache.volume`."""
        kept = self._cache.has(uid)
        try:
            volume = self._cache.volume(uid, study, go_on)
        except InvalidInputError:
            self._note_given()
            raise
        if not kept:
            self._note_given()
        return volume

    def _set_aside(self, image_id: str, error: ActiveLabelError, stamp: str | None = None) -> SetAsideError:
        self._ledger.mark_unreadable(image_id, str(error), stamp)
        return SetAsideError(f"{error}; it is set aside, ask for another")

    def _note_given(self) -> None:
        """Note that the PACS has given a series."""
        with self._counting:
            self._refused.clear()

    def _gives_none(self, refused: str) -> bool:
        """Whether the PACS gives no series at the moment, to be asked when it has refused one.

        After several in a row it is asked for another, at best for one that it gave before. Without that an image that
        was readmitted would stop all others as long as none of them has to be fetched.
        """
        with self._counting:
            self._refused.add(refused)
            if len(self._refused) < MOST_IN_A_ROW:
                return False
            others = [image.id for image in self._ledger.images() if image.usable and image.id not in self._refused]
            if not others:
                return True
            another = min(others, key=lambda uid: not self._cache.has(uid))
            if not self._cache.is_given(another, self.study_of(another)):
                self._refused.add(another)  # next time another one is tried
                return True
            self._refused.clear()
            return False

    def _readmit_refused(self) -> None:
        """Readmit the images whose series were refused a while ago, by whatever process that was found."""
        before = datetime.now(timezone.utc) - timedelta(seconds=TRIED_AGAIN_SECONDS)
        for image in self._ledger.images_set_aside():
            if image.set_aside_stamp == REFUSED and image.unreadable_at is not None and image.unreadable_at <= before:
                self._ledger.mark_readable(image.id, REFUSED)
                logger.info("%s was set aside as the PACS refused it, and is asked for again", image.id)

    def _channels_of(self, image_id: str) -> Sequence[str]:
        """The series of an image's channels, in their order.

        Raises:
            NotFoundError: the PACS no longer has a series for each.
        """
        known = (self._tags(image_id) or {}).get(_CHANNEL_SERIES)
        if known is None:
            grouped = self._rule.group(self.search())
            if image_id not in grouped.channels:
                raise NotFoundError(f"the PACS {self._pacs.address} has no series for each channel of {image_id}")
            known = [series.uid for series in grouped.channels[image_id]]
        return [str(uid) for uid in known]

    def _listed(self, image_id: str, channels: Sequence[Series]) -> dict[str, Any]:
        """The tags of an image's shown series, the number of slices, and the series of its channels."""
        (shown,) = (series for series in channels if series.uid == image_id)
        of_channels = {_CHANNEL_SERIES: [series.uid for series in channels]} if self._rule.layout.names else {}
        return {**shown.info, _INSTANCES: _count(channels), **of_channels}


def _count(channels: Sequence[Series]) -> int | None:
    """The number of slices of all channels; None if the PACS does not list it."""
    counts = [series.instances for series in channels]
    return None if None in counts else sum(count for count in counts if count is not None)
