"""Names of files: whether one is an image, which image a label may belong to, and the id of an image.

Only this module knows endings. Everything that lists or opens an image or a label uses it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import PurePath

NIFTI_ENDINGS = (".nii.gz", ".nii")
ITK_ENDINGS = (".nrrd", ".mha")
ENDINGS = (*NIFTI_ENDINGS, *ITK_ENDINGS)
"""Single-file formats that 3D Slicer opens too; of two images of one name, the earlier ending here gets the id."""

SEGMENTATION_ENDING = ".seg.nrrd"
DICOM_ENDING = ".dcm"
"""The ending of a label as SEG or RTSTRUCT; a series of slices is no file of a studies folder."""
_LONGEST_ENDING = len(SEGMENTATION_ENDING)
MOST_USED = NIFTI_ENDINGS[0]
"""What is looked at first: a folder may have a million names."""
CONVERTED = "dicom"
"""The folder of the images that were made of series, below the folder of a project or of an experiment."""
BETWEEN_FOLDERS = "~"
"""It replaces the slash in the id of an image in a sub-folder: every client and file system allows it in a name."""

LONGEST_ID = 200  # bytes; the names of label files are longer by an ending and a temporary suffix

_IN_TWO_FILES = (".hdr", ".img", ".hdr.gz", ".img.gz", ".mhd", ".raw", ".zraw", ".nhdr")
_NO_DATA = frozenset({"bval", "bvec", "csv", "db", "docx", "htm", "html", "ini", "json", "lock", "log", "md", "part"})
_NO_DATA |= {"pdf", "py", "sh", "sqlite", "toml", "tsv", "txt", "xlsx", "xml", "yaml", "yml"}
_LATE_WORDS = "msk|dseg|probseg"
"""Words that made no label of a file in earlier versions."""
_WORDS = "seg|segs|segm|segmentation|segmentations|label|labels|labelmap|lbl|mask|masks|gt|groundtruth|annotation"
_WORDS += f"|rtstruct|rtss|{_LATE_WORDS}"
_LATE_LABEL = re.compile(rf"(.*[-_. ])?({_LATE_WORDS})|({_LATE_WORDS})[-_. ].+", re.IGNORECASE)
_BIDS_LABEL = re.compile(
    r"(.*_)?(dseg|probseg)|sub-[A-Za-z0-9]+_(.*_)?(desc|label|space)-[A-Za-z0-9]+_(.*_)?(mask|seg)", re.IGNORECASE
)
"""BIDS names a segmentation by its own entities and suffix, so it need not begin as its image does."""
_BIDS_PLAIN_LABEL = re.compile(r"(?P<subject>sub-[A-Za-z0-9]+_)(.*_)?(mask|seg)", re.IGNORECASE)
"""Without an entity of derivatives, it may as well be an image of that name."""
_LABEL_AT_END = re.compile(rf"^(?P<rest>|.*[-_. ])(?:{_WORDS})$", re.IGNORECASE)
_LABEL_AT_START = re.compile(rf"^(?:{_WORDS})(?P<rest>[-_. ].+)$", re.IGNORECASE)
_IN_WORDS = ("seg", "label", "lbl", "mask", "msk", "gt", "groundtruth", "annotation", "rts")
_ANY_WORD = re.compile("|".join(_IN_WORDS), re.IGNORECASE)
"""What every word for label has in it."""
_SEPARATORS = "-_. "
_LABEL_FOLDER = re.compile(
    r"^(labels?|labels?(tr|ts|val)|labels?[-_. ].*|masks?|segs?|segmentations?|ground_?truths?|predictions|"
    r"pseudo_labels|annotated(tr|ts))$",
    re.IGNORECASE,
)


def is_one_name(text: str, system: type[PurePath] = PurePath) -> bool:
    r"""Whether a text can be the name of a file or folder: no path, and no way up or to another disk.

    `system` says whose rules these are, by default those of this one: `a\b` is a name on Linux, and a path on Windows.
    """
    return text not in ("", "..") and "\0" not in text and system(text).name == text


def ending_of(name: str) -> str:
    """The ending of an image's name in its own spelling (`.NII.GZ`), or "" if it is none of `ENDINGS`."""
    if name.endswith(MOST_USED):
        return MOST_USED
    lower = name[-_LONGEST_ENDING:].lower()
    for ending in ENDINGS:
        if lower.endswith(ending):
            return name[len(name) - len(ending) :]
    return ""


def stem_of(name: str) -> str:
    """A name without its ending: `a.b.nii.gz` gives `a.b`; the labels `a.seg.nrrd` and `a.dcm` give `a`."""
    if name.endswith(MOST_USED):
        return name[: -len(MOST_USED)]
    lower = name[-_LONGEST_ENDING:].lower()
    for of_labels in (SEGMENTATION_ENDING, DICOM_ENDING):
        if lower.endswith(of_labels):
            return name[: -len(of_labels)]
    return name[: len(name) - len(ending_of(name))]


def is_dicom(name: str) -> bool:
    """Whether the name is that of a DICOM object."""
    return name.lower().endswith(DICOM_ENDING)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is hidden, such as `._case.nii.gz` of macOS, which holds no image."""
    return name.startswith(".") or name == "__MACOSX"


def is_label_folder(name: str) -> bool:
    """Whether the name is that of a folder of labels, such as `labelsTr` or `masks`."""
    return _LABEL_FOLDER.match(name) is not None


def is_bids_label(name: str) -> bool:
    """Whether the name is that of a segmentation or mask in BIDS: `sub-01_desc-manual_dseg.nii.gz`."""
    stem = stem_of(name)
    return stem[-4:].lower() in ("dseg", "bseg", "mask", "_seg") and _BIDS_LABEL.fullmatch(stem) is not None


def bids_subject_of_label(stem: str) -> str:
    """The beginning `sub-01_` of a name that would be a mask's or a segmentation's in BIDS; "" of another."""
    found = _BIDS_PLAIN_LABEL.fullmatch(stem)
    return found["subject"] if found else ""


def has_late_label_word(name: str) -> bool:
    """Whether a name is a label's only by a word that earlier versions did not know, so that it was an image then."""
    return _LATE_LABEL.fullmatch(stem_of(name)) is not None


def no_image(name: str) -> str | None:
    """The reason why a name is not that of an image; None for an image, "" for a file that needs no reason."""
    lower = name.lower()
    if name.endswith(MOST_USED) and not lower.startswith("datastore_v2.") and name.isprintable():
        return None
    if lower.endswith(SEGMENTATION_ENDING):
        return "a segmentation of 3D Slicer is a label, no image: it belongs into labels/final"
    if lower.endswith(_IN_TWO_FILES):
        return "an image in two files cannot be sent to a client: save it as one, .nii.gz"
    start, _, suffix = lower.rpartition(".")
    if lower.startswith(("datastore_v2.json", "datastore_v2.changes.jsonl")) or (start and suffix in _NO_DATA):
        return ""
    ending = ending_of(name)
    if not ending:
        return f"expected a file that ends in {', '.join(ENDINGS)}: convert it (DICOM is read from a PACS)"
    if not _opens(ending):
        return f"3D Slicer does not open this spelling of the ending: rename it to {ending.lower()}"
    if not name.isprintable():
        return "no client can send this name: rename it"
    return None


def are_plain_images(names: Sequence[str]) -> bool:
    """Whether all names are those of images whatever lies beside them, as nearly all of a million are.

    They are looked at together, in a fraction of the time of `no_image` and `label_words_off`. False tells nothing.
    """
    together = "\0".join((*names, ""))
    small = together.casefold()  # in which a text is found 20 times as quickly as by a pattern
    return (
        together.count(f"{MOST_USED}\0") == len(names)
        and not any(word in small for word in (*_IN_WORDS, "datastore_v2."))
        and not any(f"\0{start}" in f"\0{together}" for start in (".", "__MACOSX"))
        and "".join(names).isprintable()
    )


def label_words_off(stem: str) -> Iterator[tuple[str, bool]]:
    """The rest of a name without a word for label, and whether that is its beginning: `case_seg` gives `case`."""
    if _ANY_WORD.search(stem) is None:  # in a fraction of the time, as is so of nearly all of a million names
        return
    at_end = _LABEL_AT_END.match(stem)
    if at_end is not None:
        yield at_end["rest"].rstrip(_SEPARATORS), True
    at_start = _LABEL_AT_START.match(stem)
    if at_start is not None:
        yield at_start["rest"].lstrip(_SEPARATORS), False


def image_ids(path: str) -> Iterator[str]:
    """The possible ids of an image, from its path below the studies folder; it gets the first free one.

    The first is the name without its ending, with `~` for each slash. It does not change when other files are added.
    A letter and its accent are one sign (NFC), also where a file's name has two, as macOS writes them.
    """
    plain, ending = spelt(plain_id(path)), ending_of(path).replace(".", "_")
    digest = hashlib.sha256(path.encode()).hexdigest()
    for candidate in (plain, f"{plain}{ending}", f"{plain}{ending}_{digest[:8]}", f"{plain}_{digest}"):
        yield _shortened(candidate, digest)


def first_id(path: str) -> str:
    """The first of `image_ids`, which is mostly free, without making the others."""
    plain = spelt(plain_id(path))
    return plain if 4 * len(plain) <= LONGEST_ID else next(image_ids(path))  # a letter has at most four bytes


def spelt(name: str) -> str:
    """A name with each accent in one sign with its letter, where Unicode has one (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """What is the same of two names that a file system may take for one: it may know no case, or no spellings."""
    return name.casefold() if name.isascii() else spelt(spelt(name).casefold())


def spellings(name: str) -> tuple[str, ...]:
    """A name as it is, and in the two spellings of its accents."""
    if name.isascii():
        return (name,)
    return (name, spelt(name), unicodedata.normalize("NFD", name))


def plain_id(path: str) -> str:
    """The id of a file at this path below its folder if no other file has taken it."""
    folder, _, name = path.rpartition("/")
    stem = stem_of(name)
    return f"{folder.replace('/', BETWEEN_FOLDERS)}{BETWEEN_FOLDERS}{stem}" if folder else stem


def labelled_ids(path: str) -> Iterator[str]:
    """The ids of the images to which a label file at this path may belong, the likeliest first.

    They are its own name; that name without a word for label, at most two (`case-segmentation-label`); and the first
    channel's name.
    """
    whole = plain_id(path)
    yield whole
    folders, _, stem = whole.rpartition(BETWEEN_FOLDERS)
    start = f"{folders}{BETWEEN_FOLDERS}" if folders else ""
    shorter = [rest for rest, _ in label_words_off(stem) if rest]
    shorter += [rest for first in shorter for rest, _ in label_words_off(first) if rest]
    for rest in shorter:
        yield start + rest
    for rest in (stem, *shorter):
        yield f"{start}{rest}_0000"


def _opens(ending: str) -> bool:
    """Whether ITK, with which 3D Slicer reads files, knows the ending in this spelling."""
    if ending.lower() in NIFTI_ENDINGS:
        return ending in (ending.lower(), ending.upper())
    return ending.lower() == ".nrrd" or ending == ending.lower()


def _shortened(image_id: str, digest: str) -> str:
    encoded = image_id.encode()
    if len(encoded) <= LONGEST_ID:
        return image_id
    return f"{encoded[: LONGEST_ID - 17].decode(errors='ignore')}_{digest[:16]}"


_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def is_tag(tag: str) -> bool:
    """Whether a label tag is valid: letters, digits, '-' and '_'."""
    return _TAG.fullmatch(tag) is not None


def preference(path: str) -> int:
    """The place of a file among those of one name: the least gets the id of the image, or is its label."""
    if path.endswith(MOST_USED):
        return 0
    return len(ENDINGS) if is_dicom(path[-_LONGEST_ENDING:]) else ENDINGS.index(ending_of(path).lower())
