"""Checks that the file of a kept label, which must never change, is unchanged."""

from pathlib import Path

from activelabel.data.files.digest import file_sha256
from activelabel.data.files.writing import Stamp, file_stamp
from activelabel.errors import InvalidInputError
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import Annotation, Draft


def sound_file(label: Annotation | Draft, kept: Path, ledger: Ledger | None = None) -> Path:
    """The file of a label version, after checking that it is unchanged.

    Size and times are compared first; the SHA-256 only if these differ, as after a copy of the project, or if it was
    kept before the ledger noted when a file was last changed.

    Args:
        label: the label or draft whose file is checked.
        kept: the folder of all label versions.
        ledger: records size and times of a file that was hashed; None to record nothing.

    Raises:
        InvalidInputError: the file is gone or was changed; the message says what to do.
    """
    file, stamp = checked_file(label, kept)
    if ledger is not None and stamp is not None:
        ledger.note_label_files({label.file: stamp})
    return file


def checked_file(label: Annotation | Draft, kept: Path) -> tuple[Path, Stamp | None]:
    """The same, with the stamp of a file that was hashed, to be noted; None if it was that in the ledger.

    Raises:
        InvalidInputError: as `sound_file`.
    """
    file = kept / label.file
    try:
        stamp = file_stamp(file.stat())
        if (label.file_size, label.file_modified_ns, label.file_changed_ns) == stamp:
            return file, None
        sha256 = file_sha256(file)
    except OSError as error:
        raise changed_since_kept(label, f"cannot be read ({error.strerror})") from error
    if sha256 != label.sha256:
        raise changed_since_kept(label, "has changed on disk (its SHA-256 differs)")
    return file, stamp


def changed_since_kept(label: Annotation | Draft, what: str) -> InvalidInputError:
    """The message for a label whose file is gone or was changed."""
    kind = "draft" if isinstance(label, Draft) else "label"
    return InvalidInputError(
        f"{label.image_id}: the file of its {kind} (version {label.version}, by {label.annotator}) {what} since it was "
        f"kept on {label.created_at:%Y-%m-%d}, so that nothing is learnt from it: put {label.file} back, or draw it "
        "again"
    )
