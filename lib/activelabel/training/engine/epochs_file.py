"""The state of a training after each epoch, in a file from which another process continues the training."""

import hashlib
import io
import logging
from pathlib import Path
from typing import Any

import torch

from activelabel.data.files.writing import write_atomically

logger = logging.getLogger(__name__)

_DIGEST_BYTES = hashlib.sha256().digest_size


class EpochsFile:
    """A file with the state of a training after its last completed epoch.

    It needs no random states: the random numbers of a step depend on its number alone, so that the result equals that
    of an uninterrupted training.
    """

    def __init__(self, file: Path, identity: str) -> None:
        """`file` lies outside the run's folder, which the next run removes; its folder is made when it is written.

        `identity` describes network, data and options of the training: a file with another identity is not used.
        """
        self._file = file
        self._identity = identity

    def read(self) -> dict[str, Any] | None:
        """The state that was written last; None, with a line in the log, if it is damaged or of another training."""
        if not self._file.is_file():
            return None
        raw = memoryview(self._file.read_bytes())
        written, digest = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
        # torch reads a file with changed numbers without an error.
        if hashlib.sha256(written).digest() != digest:
            logger.warning("training begins anew, not with the epochs in %s: the file is damaged", self._file)
            return None
        content: dict[str, Any] = torch.load(io.BytesIO(written), map_location="cpu", weights_only=True)
        if content["identity"] != self._identity:
            logger.info("training begins anew, not with the epochs in %s: they are of another training", self._file)
            return None
        state: dict[str, Any] = content["state"]
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Write the state, at once or not at all."""
        buffer = io.BytesIO()
        torch.save({"identity": self._identity, "state": state}, buffer)
        buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
        self._file.parent.mkdir(exist_ok=True)
        write_atomically(self._file, buffer.getbuffer())
