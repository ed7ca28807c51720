"""State of a training after each epoch, in a file from which another process continues the training."""

import hashlib
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint
from monai.data.utils import set_rnd
from monai.networks.utils import get_state_dict
from monailabel.tasks.train.basic_train import Context

from activelabel.data.files.writing import write_atomically
from activelabel.project.optional_parts import optional, optional_step

logger = logging.getLogger(__name__)

_DIGEST_BYTES = hashlib.sha256().digest_size


class EpochCheckpoint:
    """Writes the state of a training after each epoch, and continues from the written state of the same training.

    The file holds network, optimiser, gradient scaler, epoch, metrics and the best weights so far. It needs no random
    states: each epoch has its own seed, so that the result equals that of an uninterrupted training.
    It supports a constant learning rate only. The count of an early stop is not stored and begins again at 0.
    """

    def __init__(self, file: Path, identity: str, seed: int) -> None:
        """`file` lies outside the run's folder, which the next run removes; the folder of `file` is created.

        `identity` describes network, data and options of the training: a file with another identity is not used.
        `seed` is the seed of the training, and differs between its processes.
        """
        self._file = file
        self._identity = identity
        self._seed = seed
        self._best: dict[str, torch.Tensor] | None = None

    def attach(self, context: Context, best_weights: str) -> None:
        """Attach to a training, after all handlers that compute its metrics.

        At the end, the file `best_weights` of the training's folder has the best weights of all epochs: the host's own
        file covers only the epochs of this process.
        """
        trainer = context.trainer
        for engine in filter(None, (trainer, context.evaluator)):
            engine.state_dict_user_keys.extend(["metrics", "best_metric", "best_metric_epoch"])
        trainer.add_event_handler(Events.STARTED, self._restore, context)
        trainer.add_event_handler(Events.EPOCH_STARTED, self._draw_epoch)
        if context.local_rank == 0:
            trainer.add_event_handler(Events.EPOCH_COMPLETED, self._note_best, context)
            write = optional_step("an interrupted training will begin anew", lambda engine: self._write(context))
            trainer.add_event_handler(Events.EPOCH_COMPLETED, write)
            trainer.add_event_handler(Events.COMPLETED, self._keep_best, Path(context.output_dir) / best_weights)

    def _restore(self, trainer: Engine, context: Context) -> None:
        content = None
        with optional("training begins anew, not with the epochs before it was interrupted"):
            content = self._read()
        if content is None:
            return
        Checkpoint.load_objects(_parts(context), content["state"])
        self._best = content["best"]
        logger.info("training goes on after epoch %d of %d", trainer.state.epoch, trainer.state.max_epochs)

    def _read(self) -> dict[str, Any] | None:
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
        return content

    def _draw_epoch(self, trainer: Engine) -> None:
        """Seed dropout, the order of cases and the patches at the start of an epoch."""
        seed = int(np.random.SeedSequence((self._seed, trainer.state.epoch)).generate_state(1)[0])
        torch.manual_seed(seed)
        set_rnd(trainer.data_loader.dataset, seed)

    def _note_best(self, trainer: Engine, context: Context) -> None:
        if context.evaluator is not None and context.evaluator.state.best_metric_epoch == trainer.state.epoch:
            weights = get_state_dict(context.network)
            self._best = {name: tensor.to("cpu", copy=True) for name, tensor in weights.items()}

    def _write(self, context: Context) -> None:
        state = {name: get_state_dict(part) for name, part in _parts(context).items()}
        buffer = io.BytesIO()
        torch.save({"identity": self._identity, "state": state, "best": self._best}, buffer)
        buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
        self._file.parent.mkdir(exist_ok=True)
        write_atomically(self._file, buffer.getvalue())

    def _keep_best(self, trainer: Engine, file: Path) -> None:
        if self._best is not None:
            torch.save(self._best, file)


def _parts(context: Context) -> dict[str, Any]:
    """The objects that change from epoch to epoch. The scaler exists only in mixed precision and after the start."""
    parts = {
        "network": context.network,
        "optimizer": context.optimizer,
        "scaler": context.trainer.scaler,
        "trainer": context.trainer,
        "evaluator": context.evaluator,
    }
    return {name: part for name, part in parts.items() if part is not None}
