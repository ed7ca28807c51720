"""Which names of files and folders are those of labels or test images, going by what lies beside them."""

import os
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence

from activelabel.data.files.links import Entry
from activelabel.data.files.names import (
    bids_subject_of_label,
    has_late_label_word,
    is_label_folder,
    label_words_off,
    stem_of,
)

TRAINING_IMAGES, TEST_IMAGES = "imagesTr", "imagesTs"
"""Folders of the Medical Segmentation Decathlon and of nnU-Net."""
AUDIT = "audit.csv"
VERSIONS = "versions"
"""Of an exported data set: the audit trail, and the folder of the label versions and drafts that it names, and of the
masks that models showed."""
_DERIVATIVES = "derivatives"  # of BIDS
OF_LABEL = "by its name a label of an image beside it: it belongs into labels/final"
OF_BIDS = "by its name a segmentation or mask of BIDS: it belongs into labels/final"
_OF_LABELS = "a folder of this name holds labels, no images"
_OF_DERIVATIVES = (
    "a folder of this name holds what was made of the images of a BIDS data set, such as labels: put images "
    "elsewhere, or name this folder itself"
)
_OF_VERSIONS = f"beside {AUDIT} it holds the versions of labels of an exported project"
_OF_TESTS = f"beside {TRAINING_IMAGES} it holds the test images of a data set, which nothing may be learnt from"
LATE_FOLDERS = frozenset({_OF_LABELS, _OF_DERIVATIVES, _OF_VERSIONS, _OF_TESTS})
"""Reasons that earlier versions did not have for some folders."""


class Stems:
    """The names of a folder's images, without the names of labels.

    Attributes:
        with_labels: whether there are names of labels among them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        every = [stem_of(name) for name in names]
        stems = [stem for stem in every if not any(label_words_off(stem))]
        self.with_labels = len(stems) < len(every)
        self._rising = sorted(stems)
        self._backwards = sorted(stem[::-1] for stem in stems)

    def reason_against(self, name: str) -> str | None:
        """The reason why a file with the name of a label is no image: one beside it has a name that fits.

        That name begins or ends with the rest of the label's, or in BIDS is of the same subject.
        """
        stem = stem_of(name)
        if any(self._one_has(rest, is_start) for rest, is_start in label_words_off(stem)):
            return OF_LABEL
        subject = bids_subject_of_label(stem)
        return OF_BIDS if subject and self._one_has(subject, is_start=True) else None

    def _one_has(self, rest: str, is_start: bool) -> bool:
        return _one_starts_with(self._rising if is_start else self._backwards, rest if is_start else rest[::-1])


def may_be_of_another(name: str) -> bool:
    """Whether a file is a label if one beside it has a name that fits; see `Stems.reason_against`."""
    stem = stem_of(name)
    return any(label_words_off(stem)) or bool(bids_subject_of_label(stem))


def _one_starts_with(rising: Sequence[str], start: str) -> bool:
    place = bisect_left(rising, start)
    return place < len(rising) and rising[place].startswith(start)


def reason_by_name(folder: Entry, beside: Collection[str] | None) -> str | None:
    """The reason why a folder of this name, beside others, holds no images to learn from."""
    if is_label_folder(folder.name):
        return _OF_LABELS
    if folder.name == _DERIVATIVES:
        return _OF_DERIVATIVES
    above = os.path.dirname(folder.path)
    if folder.name == VERSIONS and os.path.lexists(os.path.join(above, AUDIT)):
        return _OF_VERSIONS
    if folder.name == TEST_IMAGES:
        training = os.path.join(above, TRAINING_IMAGES)
        if TRAINING_IMAGES in beside if beside is not None else os.path.lexists(training):
            return _OF_TESTS
    return None


def was_image_once(name: str, reason: str | None) -> bool:
    """Whether earlier versions took a file for an image that is passed over now for this reason."""
    return reason == OF_BIDS or (reason == OF_LABEL and has_late_label_word(name))
