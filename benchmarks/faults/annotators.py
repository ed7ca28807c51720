"""Annotators that keep working during faults, and a record of what the server acknowledged to them."""

import functools
import hashlib
import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException
from numpy.typing import NDArray

from activelabel.store.ledger import Ledger

SHAPE = (24, 20, 16)
AFFINE = np.diag([-1.5, -1.5, 2.0, 1.0])
PAUSE_SECONDS = 10.0
NEW_CASE, SKIP = 0.1, 0.15
"""The probabilities that an annotator asks for another case rather than corrects a label, and that they skip a case."""


def make_studies(folder: Path, count: int) -> None:
    """Write tiny volumes with a bright ball on noise."""
    folder.mkdir(parents=True)
    for number in range(count):
        random = np.random.default_rng(number)
        image = 100.0 * drawing(number) + random.normal(50, 20, SHAPE)
        nibabel.save(nibabel.Nifti1Image(image.astype(np.float32), AFFINE), folder / f"case_{number:04d}.nii.gz")


def drawing(number: int) -> NDArray[np.uint8]:
    """The ball of a case, the same for every annotator."""
    random = np.random.default_rng([7, number])
    grid = np.stack(np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij"))
    centre = random.uniform(7, 11, size=3)[:, None, None, None]
    return np.asarray(((grid - centre) ** 2).sum(axis=0) < random.uniform(3, 6) ** 2, dtype=np.uint8)


@dataclass
class Record:
    """A record of the server's answers. `doubles` are images given to one annotator while another worked on them."""

    acknowledged: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Image and annotator of each acknowledged label, by the digest of its voxels."""
    answers: Counter[str] = field(default_factory=Counter)
    doubles: list[str] = field(default_factory=list)
    last_kept: float = 0.0
    """The time of the last acknowledgement, on the monotonic clock."""
    _holders: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def gave(self, image: str, annotator: str) -> None:
        """Record that the server gave an image to an annotator."""
        with self.lock:
            self.answers["sample"] += 1
            holder = self._holders.setdefault(image, annotator)
            if holder != annotator:
                self.doubles.append(f"{image} to {annotator}, while {holder} had it")

    def gives_back(self, image: str) -> None:
        """Record that an annotator is about to skip an image: another may have it from now on."""
        with self.lock:
            self._holders.pop(image, None)

    def kept(self, image: str, annotator: str, digest: str) -> None:
        """Record that the server acknowledged a label."""
        with self.lock:
            self.answers["saved"] += 1
            self.acknowledged[digest] = image, annotator
            self.last_kept = time.monotonic()
            self._holders.pop(image, None)

    def failed(self, why: str) -> None:
        """Record that the server refused, or did not answer."""
        with self.lock:
            self.answers[why] += 1


class Annotators:
    """Threads that ask, draw, save, correct and skip through the host's own client until they are stopped."""

    def __init__(self, address: str, count: int, folder: Path, record: Record, seed: int) -> None:
        """Annotators of the server at `address`, whose drawings lie in `folder`."""
        folder.mkdir(exist_ok=True)
        self._address, self._folder, self.record = address, folder, record
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(f"reader {number}", np.random.default_rng([seed, number])))
            for number in range(count)
        ]
        self._drawn = 0
        self._counting = threading.Lock()

    def start(self) -> None:
        """Let them work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop them, each after their current step."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _work(self, name: str, random: np.random.Generator) -> None:
        client = MONAILabelClient(self._address, client_id=name)
        mine: list[str] = []
        while not self._stop.is_set():
            if not mine or random.random() < NEW_CASE:
                image = self._ask(client, name, skip=False)
                if image and random.random() < SKIP:
                    self.record.gives_back(image)
                    image = self._ask(client, name, skip=True)
                if image:
                    mine.append(image)
            if mine:
                self._save(client, name, mine[-1] if random.random() < 0.7 else str(random.choice(mine)))
            self._stop.wait(random.uniform(0, PAUSE_SECONDS))

    def _ask(self, client: MONAILabelClient, name: str, *, skip: bool) -> str:
        """The image to draw; empty if there is none, or the annotators are stopped."""
        params = {"skip": "not now"} if skip else {}
        found: list[str] = []

        def ask() -> None:
            sample = client.next_sample("random", dict(params))
            params.clear()
            if sample:
                self.record.gave(sample["id"], name)
                found.append(sample["id"])

        self._until_answered(ask)
        return found[0] if found else ""

    def _save(self, client: MONAILabelClient, name: str, image: str) -> None:
        """Save a drawing that no other resembles, again and again until the server says that it has it."""
        with self._counting:
            self._drawn += 1
            number = self._drawn
        voxels = drawing(int(image.rpartition("_")[2]))
        voxels[:, 0, 0] = [(number >> bit) & 1 for bit in range(SHAPE[0])]
        file = self._folder / f"{name.replace(' ', '_')}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), file)

        def save() -> None:
            client.save_label(image, str(file))
            self.record.kept(image, name, digest_of(voxels))

        self._until_answered(save)

    def _until_answered(self, request: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                request()
            except MONAILabelClientException as error:
                self.record.failed(status_of(error))
            except (OSError, http.client.HTTPException):
                self.record.failed("no answer")
            else:
                return
            self._stop.wait(0.5)


def status_of(error: MONAILabelClientException) -> str:
    """The status of a refusal. The client keeps it as a number for some requests, and only in its text for others."""
    found = re.match(r"Status: (\d+)", str(error.msg))
    return str(error.status_code or (found[1] if found else "unknown"))


def digest_of(voxels: NDArray[np.generic]) -> str:
    """The digest of a drawing, whatever its data type."""
    return hashlib.sha256(np.ascontiguousarray(voxels.astype(np.uint8)).tobytes()).hexdigest()


class KeptFiles:
    """The SHA-256 of files, read again only if size or time have changed, or after `forget`."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, int, str]] = {}

    def sha256(self, file: Path) -> str:
        """The SHA-256 of one file; empty if there is none."""
        try:
            stat = file.stat()
        except FileNotFoundError:
            return ""
        seen = self._seen.get(file)
        if seen is None or seen[:2] != (stat.st_size, stat.st_mtime_ns):
            seen = (stat.st_size, stat.st_mtime_ns, hashlib.sha256(file.read_bytes()).hexdigest())
            self._seen[file] = seen
        return seen[2]

    def forget(self) -> None:
        """Forget all digests, so that each file is read again."""
        self._seen.clear()


def lost_labels(record: Record, ledger: Ledger, labels: Path, files: KeptFiles | None = None) -> list[str]:
    """Acknowledged labels that are missing: each is compared voxel by voxel, with its image and its annotator.

    A label in the ledger whose file is missing or changed is lost too, even if it was not acknowledged.
    """
    files = files or KeptFiles()
    with record.lock:  # Labels acknowledged from now on may be newer than the ledger's content.
        acknowledged = dict(record.acknowledged)
    there: dict[str, set[tuple[str, str]]] = {}
    lost = []
    for image in {image for image, _ in acknowledged.values()} | {item.image_id for item in ledger.annotations()}:
        for annotation in ledger.history(image):
            file = labels / annotation.file
            if files.sha256(file) != annotation.sha256:
                lost.append(f"the file of version {annotation.version} of {image}")
                continue
            digest = _kept_digest(file)
            there.setdefault(digest, set()).add((image, annotation.annotator))
    missing = [item for digest, item in acknowledged.items() if item not in there.get(digest, set())]
    return lost + [f"{image} by {name}" for image, name in missing]


@functools.cache
def _kept_digest(file: Path) -> str:
    """The digest of a version's file, which never changes; its checksum is compared each time."""
    return digest_of(np.asarray(nibabel.load(file).dataobj))
