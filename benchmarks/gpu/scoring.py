"""Uncertainty scoring from prepared volumes, and too little memory, for `run.py`."""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from activelabel.data.grids import Grid
from activelabel.data.preprocessing import PreparedImage
from activelabel.errors import InvalidInputError
from activelabel.prediction.image_scores import all_image_scores
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.prepared.ahead import Ahead, preparing_threads
from activelabel.prediction.prepared.file import open_prepared, write_prepared
from activelabel.prediction.windows import Size3D, window_grid
from activelabel.recipes import Recipe, load_recipe
from benchmarks.gpu.networks import build, noise, predict, window_of
from benchmarks.gpu.timing import Conditions, Row, synchronise
from benchmarks.gpu.use import DeviceUse

VOLUME: Size3D = (240, 240, 200)  # a CT of the abdomen at 1.5 x 1.5 x 2 mm
VOLUMES = 64
SMALL_VOLUME: Size3D = (40, 40, 32)
SMALL_VOLUMES = 3
DIFFERENT = 8
"""So many of the files differ; the others are further names of these, so that they are made within seconds."""

NETWORKS = ("quick", "rahimi2022", "nath2022")
ALLOWED = (0.8, 0.65, 0.5, 0.4, 0.3, 0.2)
"""Shares of the memory that a predictor takes by itself, from the first of which it must do with less."""
SEED = 5


def scoring(conditions: Conditions) -> Iterator[Row]:
    """Scores of all measures and regions, volume by volume, beside the bare forward passes."""
    shape, count = (SMALL_VOLUME, SMALL_VOLUMES) if conditions.small else (VOLUME, VOLUMES)
    with tempfile.TemporaryDirectory() as folder:
        files = prepared_files(Path(folder), shape, count)
        for number, name in enumerate(NETWORKS):
            if conditions.reaches(name):
                yield score_files(conditions.share(len(NETWORKS) - number), name, files, shape)


def score_files(conditions: Conditions, name: str, files: dict[str, Path], shape: Size3D) -> Row:
    """One row: seconds of each part of a round, and how much of the round the device is used.

    `bare share` is that of as many passes alone, `forward share` that of the round's own passes by the device's clock,
    and `busy share` that of all kernels, see `DeviceUse`; on a processor it is called `processor share`.
    """
    recipe, device = load_recipe(name), conditions.device
    network = build(recipe, device)
    window = window_of(recipe, small=True) if conditions.small else recipe.prediction.window_size
    overlap, repeats = recipe.prediction.window_overlap, recipe.prediction.repeats
    predictor = Predictor(network, window, overlap, device)
    score(predictor, open_prepared(next(iter(files.values()))), recipe, repeats)  # libraries warm up
    parts = dict.fromkeys(("waiting", "sample", "statistics"), 0.0)
    scored = 0
    with (
        DeviceUse(conditions, name) as use,
        Ahead(lambda image: open_prepared(files[image]), preparing_threads(device)) as prepared,
    ):
        begun = time.perf_counter()
        prepared.expect(files)
        for image in files:
            if not conditions.reaches(f"{name}, volume {scored + 1} and later"):
                break
            started = time.perf_counter()
            taken = prepared.take(image)
            parts["waiting"] += time.perf_counter() - started
            for part, seconds in zip(("sample", "statistics"), score(predictor, taken, recipe, repeats), strict=True):
                parts[part] += seconds
            scored += 1
        wall = time.perf_counter() - begun
    passes = len(window_grid(shape, window, overlap).starts) * repeats * scored
    bare = passes * seconds_a_window(conditions, network, window, predictor)
    return {
        "network": name,
        "precision": str(predictor.precision),
        "volumes": scored,
        "repeats": repeats,
        "images/s": scored / wall,
        **{f"{part} s": seconds for part, seconds in parts.items()},
        "bare s": bare,
        "bare share": bare / wall if scored else None,
        "forward share": use.forward_seconds / wall,
        "busy share" if device.type == "cuda" else "processor share": use.busy_share if scored else None,
    }


def score(predictor: Predictor, image: PreparedImage, recipe: Recipe, repeats: int) -> tuple[float, float]:
    """Sample and score one image as a round does; the seconds of both."""
    begun = time.perf_counter()
    statistics = predictor.sample(image.tensor, repeats, SEED)
    synchronise(statistics.mean.device)
    sampled = time.perf_counter()
    all_image_scores(statistics, image, recipe.regions, axis=2)
    return sampled - begun, time.perf_counter() - sampled


def seconds_a_window(conditions: Conditions, network: nn.Module, window: Size3D, predictor: Predictor) -> float:
    """Seconds for one window in a batch as the predictor makes them, without dropout."""
    batch = 2 if conditions.small else predictor.windows_at_once
    images = noise((batch, 1, *window), conditions.device).to(memory_format=torch.channels_last_3d)
    network = network.to(memory_format=torch.channels_last_3d)
    return conditions.seconds_of(lambda: predict(network, images, predictor.precision.dtype)) / batch


def prepared_files(folder: Path, shape: Size3D, count: int) -> dict[str, Path]:
    """Volumes of noise by name, in files as the cache of prepared images has them."""
    rng = np.random.default_rng(SEED)
    values = rng.standard_normal((1, *shape), dtype=np.float32)
    grid = Grid(shape, np.diag((1.5, 1.5, 2.0, 1.0)))
    files: dict[str, Path] = {}
    for number in range(count):
        file = folder / f"{number}.safetensors"
        if number < DIFFERENT:
            shifted = torch.from_numpy(np.roll(values, 7 * number, axis=1))
            write_prepared(file, PreparedImage(shifted, grid, grid))
        else:
            os.link(folder / f"{number % DIFFERENT}.safetensors", file)
        files[str(number)] = file
    return files


def memory(conditions: Conditions) -> Iterator[Row]:
    """A volume with all of the memory, and with so little that a batch does not fit.

    A CPU cannot be given less: there the network itself refuses larger batches, as an allocation does.
    """
    recipe, device = load_recipe("quick" if conditions.small else "rahimi2022"), conditions.device
    window = window_of(recipe, conditions.small)
    image = noise((1, *(2 * size for size in window)), device)
    free = sampled(build(recipe, device), window, image)
    if device.type != "cuda":
        warned, little = listened(lambda: sampled(Refusing(build(recipe, device), at_most=3), window, image))
        yield {"provoked by": "the network", "warnings": warned, "difference": float((free - little).abs().max())}
        return
    total = torch.cuda.get_device_properties(device).total_memory
    at_most = torch.cuda.max_memory_reserved(device)
    for share in ALLOWED:
        if not conditions.reaches(f"memory: {share} of what is taken otherwise"):
            return
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(at_most * share / total, device)
        case: Row = {"provoked by": "a limit", "GB otherwise": at_most / 1e9, "allowed GB": at_most * share / 1e9}
        try:
            warned, little = listened(lambda: sampled(build(recipe, device), window, image))
        except (InvalidInputError, torch.OutOfMemoryError) as error:  # too little for anything: also a result
            yield {**case, "problem": str(error).partition("\n")[0][:200]}
            return
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
        if warned:
            yield {**case, "warnings": warned, "difference": float((free - little).abs().max())}
            return
    raise RuntimeError(f"even with {ALLOWED[-1]} of the memory no batch was halved")


def sampled(network: nn.Module, window: Size3D, image: Tensor) -> Tensor:
    """The mean of four repeats, in float32."""
    return Predictor(network, window, 0.25, image.device, precision="float32").sample(image, 4, SEED).mean


class Refusing(nn.Module):
    """A network for which there is too little memory if a batch has more than so many items."""

    def __init__(self, network: nn.Module, at_most: int) -> None:
        super().__init__()
        self._network, self._at_most = network, at_most

    def forward(self, images: Tensor) -> Tensor:
        """What the network gives, for a small batch."""
        if len(images) > self._at_most:
            raise torch.OutOfMemoryError("a batch was refused")
        logits: Tensor = self._network(images)
        return logits


def listened(work: Callable[[], Tensor]) -> tuple[str, Tensor]:
    """The warnings about memory during `work`, and its result."""
    warned, log = Warnings(), logging.getLogger("activelabel.prediction.batching")
    log.addHandler(warned)
    try:
        result = work()
    finally:
        log.removeHandler(warned)
    return "; ".join(warned.lines), result


class Warnings(logging.Handler):
    """The lines that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(record.getMessage())
