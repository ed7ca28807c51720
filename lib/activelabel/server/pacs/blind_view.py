"""The view of a PACS for somebody who is to draw without seeing what others have drawn: without their segmentations."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from activelabel.errors import ForbiddenError
from activelabel.server.pacs.client import Pacs

_STUDY, _SERIES, _MODALITY, _CLASS = "0020000D", "0020000E", "00080060", "00080016"
SEGMENTATIONS = frozenset({"SEG", "RTSTRUCT"})
"""Modalities of series that hold drawings."""
_UID = re.compile(r"[0-9.]{1,64}")
_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.66.4",  # segmentation
        "1.2.840.10008.5.1.4.1.1.66.5",  # surface segmentation
        "1.2.840.10008.5.1.4.1.1.66.7",  # label map segmentation
        "1.2.840.10008.5.1.4.1.1.481.3",  # RT structure set
    }
)


class Segmentations:
    """Which series of a PACS hold drawings."""

    def __init__(self, pacs: Pacs, is_image: Callable[[str], bool]) -> None:
        """Ask the PACS once about each series, as a series never changes its modality, and never about an image."""
        self._pacs = pacs
        self._is_image = is_image  # viewers ask for each slice of an image
        self._modalities: dict[str, str] = {}

    def contain(self, series_uid: str) -> bool:
        """Whether a series holds drawings; False if the PACS does not have it.

        Raises:
            UnavailableError: the PACS does not answer.
        """
        if self._is_image(series_uid):
            return False
        if series_uid not in self._modalities:
            modality = self._pacs.modality_of(series_uid)
            if modality is None:
                return False
            self._modalities[series_uid] = modality
        return self._modalities[series_uid] in SEGMENTATIONS


@dataclass(frozen=True)
class BlindView:
    """What one person must not see.

    Attributes:
        studies: the studies with an image that they read blind; the segmentations of all others are shown.
        own: the series of segmentations that they have drawn themselves.
        is_segmentation: whether a series of the PACS holds drawings.
    """

    studies: frozenset[str]
    own: frozenset[str]
    is_segmentation: Callable[[str], bool]

    def check_path(self, path: str) -> None:
        """Refuse a request for a series that must not be seen, by its address below the DICOMweb root.

        Raises:
            ForbiddenError: it is such a series, or what should be a UID is none: a PACS takes blanks away, for
                example, so that it may mean such a series.
        """
        study, series = _uid_after("studies", path), _uid_after("series", path)
        for uid in (study, series):
            if uid is not None and _UID.fullmatch(uid) is None:
                raise ForbiddenError(f"{uid[:80]!r} is no UID: ask for one of digits and points")
        if series is None or (study is not None and study not in self.studies) or series in self.own:
            return
        if self.is_segmentation(series):
            raise ForbiddenError(
                f"series {series}: draw the case without what others have drawn, which is shown afterwards"
            )

    def without_hidden(self, path: str, content: bytes, content_type: str) -> bytes:
        """An answer of the PACS without the entries that must not be seen.

        Raises:
            ForbiddenError: the answer is about whole studies and not in JSON, so that nothing can be left out.
        """
        study = _uid_after("studies", path)
        shown = study is not None and study not in self.studies
        if shown or not content or _uid_after("series", path) is not None:
            return content
        try:
            entries = json.loads(content) if "json" in content_type else None
        except ValueError:
            entries = None
        if entries is None:
            raise ForbiddenError(
                f"'{path}': ask for one series at a time, because you draw a case of it without what others have drawn"
            )
        if not isinstance(entries, list):
            return content
        kept = [entry for entry in entries if not (isinstance(entry, dict) and self._hides(entry, study))]
        return content if len(kept) == len(entries) else json.dumps(kept).encode()

    def _hides(self, entry: Mapping[str, Any], study: str | None) -> bool:
        """Whether an entry of a listing, or the metadata of an object, belongs to a segmentation of others."""
        study = _value(entry, _STUDY) or study
        series, modality, kind = _value(entry, _SERIES), _value(entry, _MODALITY), _value(entry, _CLASS)
        if (study is not None and study not in self.studies) or series in self.own:
            return False
        if modality is not None or kind is not None:
            return modality in SEGMENTATIONS or kind in _CLASSES
        return series is not None and self.is_segmentation(series)


def _uid_after(word: str, path: str) -> str | None:
    """The part of a path that follows `word`; None if there is none."""
    parts = [part for part in path.split("/") if part]
    return next((parts[place + 1] for place, part in enumerate(parts[:-1]) if part == word), None)


def _value(entry: Mapping[str, Any], tag: str) -> str | None:
    """The first value of a tag in DICOM JSON; None for none."""
    found = entry.get(tag)
    values = found.get("Value") if isinstance(found, Mapping) else None
    return str(values[0]) if isinstance(values, list) and values else None
