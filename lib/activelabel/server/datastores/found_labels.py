"""Takes in label files that were put into the folder of labels by hand or by another project.

Each file is used, or passed over with a reported reason. No file is changed or removed, except a file at the place
where the server keeps its own label, and of that file a copy is kept first.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from activelabel.data.files.digest import file_sha256
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.labels_folder import find_labels
from activelabel.data.files.names import is_tag, no_image
from activelabel.data.files.studies_folder import DOUBLE, LABEL_ENDING, FolderContent
from activelabel.errors import ActiveLabelError
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import FINAL

logger = logging.getLogger(__name__)

AS_FOUND = "labels_as_found"
"""Folder below the project folder for foreign files that lay at the place of the server's own labels."""

Take = Callable[[Path, str, str, str], None]
"""Keeps a file (path, image id, tag, name) as a label; raises `ActiveLabelError` if the file is not usable."""


class FoundLabels:
    """The label files found in a studies folder.

    Attributes:
        passed_over: by path below the studies folder, why a file is not used.
    """

    def __init__(
        self,
        studies: Path,
        ledger: Ledger,
        project_folder: Path,
        *,
        ours_elsewhere: bool = False,
        links_out: bool = False,
    ) -> None:
        """Search `studies/labels/TAG`; keep copies below `project_folder`.

        `ours_elsewhere`: the server keeps its own labels in another folder and writes no file here.
        `links_out`: links out of the studies folder are followed.
        """
        self._folder = studies / "labels"
        self._ours_elsewhere = ours_elsewhere
        self._within = None if links_out else studies
        self._ledger = ledger
        self._copies = project_folder / AS_FOUND
        self._judged: dict[Path, tuple[object, str | None]] = {}
        self.passed_over: dict[str, str] = {}

    def take_in(self, images: FolderContent, current: Collection[tuple[str, str]], take: Take) -> None:
        """Take in label files that are not known yet.

        Args:
            images: content of the studies folder.
            current: image id and tag of the current labels.
            take: keeps a file as a label.
        """
        self.passed_over = {}
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if folder.name.startswith("."):
                continue
            if not folder.is_dir():
                if no_image(folder.name) != "":
                    self.passed_over[f"labels/{folder.name}"] = "a label belongs into labels/final"
                continue
            if not is_tag(folder.name):
                self.passed_over[f"labels/{folder.name}/"] = "no tag of labels: what counts belongs into labels/final"
                continue
            found = find_labels(folder, images.files, self._within)
            self._say(folder.name, found.passed_over)
            candidates = [*found.files.items(), *((image_id, path) for path, image_id in found.more.items())]
            for image_id, path in candidates:
                reason = self._consider(folder, path, image_id, images.image(image_id), current, take)
                if reason is not None:
                    self._say(folder.name, {path: reason})

    def keep_copy(self, path: Path, image_id: str, tag: str) -> None:
        """Keep a copy of a foreign file before it is overwritten or removed.

        Files of this project need none, nor does one of zeros alone, as a power cut may leave.
        """
        if not path.is_file():
            return
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if not content.strip(b"\0") or any(label.sha256 == digest for label in self._ledger.history(image_id)):
            return
        copy = self._copies / tag / f"{time.time_ns()}-{path.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
        logger.warning("labels/%s/%s was not written by this project: kept as %s", tag, path.name, copy)

    def _consider(
        self,
        folder: Path,
        path: str,
        image_id: str,
        image: ImageFiles,
        current: Collection[tuple[str, str]],
        take: Take,
    ) -> str | None:
        """Take in a file unless that was done before; return why it is not used, or None."""
        source, tag = folder / path, folder.name
        is_at_our_place = path == f"{image_id}{LABEL_ENDING}" and not self._ours_elsewhere
        if is_at_our_place and (image_id, tag) in current:
            return None
        name = "" if is_at_our_place else _name(source, tag)
        state = (_state(source), tuple(map(_state, image.paths)), (image_id, tag) in current)
        judged = self._judged.get(source)
        if judged is not None and judged[0] == state and not is_at_our_place:
            return judged[1]
        if not is_at_our_place and (self._was_taken_in(image_id, name) or self._is_ours(source, image_id)):
            reason = None
        elif (image_id, tag) in current:
            reason = DOUBLE
        else:
            reason = self._take(source, path, image_id, tag, name, take)
        self._judged[source] = (state, reason)
        return reason

    def _take(self, source: Path, path: str, image_id: str, tag: str, name: str, take: Take) -> str | None:
        try:
            take(source, image_id, tag, name)
        except ActiveLabelError as error:
            if self._judged.get(source, (None, None))[1] != str(error):
                logger.warning("labels/%s/%s is not used: %s", tag, path, error)
            return str(error)
        logger.info("took in labels/%s/%s as the label of %s", tag, path, image_id)
        return None

    def _was_taken_in(self, image_id: str, name: str) -> bool:
        return any(Path(label.file).name == f"{name}{LABEL_ENDING}" for label in self._ledger.history(image_id))

    def _is_ours(self, source: Path, image_id: str) -> bool:
        """Whether this project wrote a file here before its labels were moved to another folder."""
        if not self._ours_elsewhere:
            return False
        known = {label.sha256 for label in self._ledger.history(image_id)}
        return bool(known) and file_sha256(source) in known

    def _say(self, tag: str, reasons: Mapping[str, str]) -> None:
        self.passed_over.update({f"labels/{tag}/{path}": reason for path, reason in reasons.items()})


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _name(source: Path, tag: str) -> str:
    """The name of the kept label; it is the same for the same state of a file, so that the file is taken in once."""
    identity = f"{source.name}|{_state(source)}"
    return f"{tag if tag != FINAL else 'found'}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
