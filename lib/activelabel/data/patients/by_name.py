r"""Patients by the file names of common data sets, for a new project in whose settings nobody names the patients.

Images of one patient in two parts of a split make a model look better than it is, so what a name may mean counts as a
patient; an image whose name tells none is a patient of its own.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

from activelabel.data.patients.wording import like_others

NAMES, IMAGES = "names", "images"
"""Values of the setting: patients by the names of images, or each image is a patient of its own."""

_KNOWN = (
    r"sub-[A-Za-z0-9]+(?![A-Za-z0-9])",  # BIDS: sub-01_ses-2_T1w
    r"patient\d+(?=_(?:frame\d|4d))",  # ACDC: patient001_frame01
    r"[A-Za-z0-9]*\d[A-Za-z0-9]*(?=_(?:[SsLl][Aa]_)?(?:E[DS]|e[ds])(?![A-Za-z0-9]))",  # M&Ms: A0S9V9_sa_ED; phases
    r"BraTS-[A-Z]+-\d{5}(?=-\d{3})",  # BraTS since 2023: BraTS-GLI-00000-000
    r"UPENN-GBM-\d{5}(?=_\d)",
    r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?=[-_])",
    r"OAS1_\d{4}(?=_MR\d)",
    r"OAS3\d{4}(?=_MR_d\d)",
    r"\d{3}_S_\d{4,5}(?=_)",  # ADNI
    r"(?:fdg|psma)_[0-9a-f]{10,16}(?=_)",  # autoPET
    r"\d{5}(?=_\d{7}(?!\d))",  # PI-CAI: 10000_1000000
)
BY_NAMES = rf"(?<![A-Za-z0-9])({'|'.join(_KNOWN)})"
"""A regular expression with one group, the patient. The ledger keeps it, so that a later one changes no project."""

_IN_NAMES = ("sub-", "patient", "_e", "_E", "BraTS-", "UPENN-GBM-", "TCGA-", "OAS", "_S_", "fdg_", "psma_")
_NUMBERED = re.compile(r"_\d{7}(?<=\d{5}_\d{7})")  # ten times as quick as one that begins with a digit
_AT_ONCE = 1000


def shared_by_name(image_ids: Iterable[str]) -> dict[str, list[str]]:
    """The patients who have several of these images by their names, each with them, in order."""
    images = defaultdict[str, list[str]](list)
    search = re.compile(BY_NAMES).search
    for image_id in that_may_tell(image_ids):
        if found := search(image_id):
            images[found.group(1)].append(image_id)
    return {patient: sorted(its) for patient, its in sorted(images.items()) if len(its) > 1}


def that_may_tell(image_ids: Iterable[str]) -> Iterator[str]:
    """Those of these images whose names may tell a patient by `BY_NAMES`, and some others."""
    left = iter(image_ids)
    while some := list(islice(left, _AT_ONCE)):
        if _may_tell("\n".join(some)):
            yield from some


def _may_tell(together: str) -> bool:
    """Whether any of these names may tell a patient, in a fraction of the time of looking at each."""
    return any(text in together for text in _IN_NAMES) or _NUMBERED.search(together) is not None


def grouped_line(image_ids: Iterable[str]) -> str | None:
    """The line for people who have not named the patients; None if no patient has several images by their names."""
    if (first := _first_shared(image_ids)) is None:
        return None
    return (
        f"{first}: all images of a patient are for training, or all for validation; if the names mislead, "
        "say so with --conf patients (docs/files.md)"
    )


def overlooked_line(image_ids: Iterable[str]) -> str | None:
    """The line for a project in which each image is a patient of its own; None if no patient has several images."""
    if (first := _first_shared(image_ids)) is None:
        return None
    return (
        f"{first}, and each counts as a patient of its own, so that a model may be judged by patients from whom it has "
        "learnt: begin another project (--conf project_dir), which tells patients by these names"
    )


def _first_shared(image_ids: Iterable[str]) -> str | None:
    for patient, images in (shared := shared_by_name(image_ids)).items():
        others = like_others(shared, "has", "have")
        return f"'{patient}' has {len(images)} images by their names ('{images[0]}', '{images[1]}'){others}"
    return None
