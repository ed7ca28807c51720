"""Uncertainty scoring from prepared volumes, and too little memory, for `gpu.py`."""

import logging
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_networks import build, noise, predict, window_of
from gpu_timing import Conditions, synchronise
from torch import nn

from activelabel.acquisition.volume_scores import volume_scores
from activelabel.prediction import batching
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.windows import Size3D, window_grid
from activelabel.recipes import load_recipe

VOLUME: Size3D = (240, 240, 200)  # a CT of the abdomen at 1.5 x 1.5 x 2 mm
VOLUMES = 64
SMALL_VOLUME: Size3D = (40, 40, 32)
SMALL_VOLUMES = 3
SEED = 5


def scoring(conditions: Conditions) -> Iterator[dict[str, Any]]:
    """Scores of all measures and regions, volume by volume, beside the bare forward passes."""
    shape, count = (SMALL_VOLUME, SMALL_VOLUMES) if conditions.small else (VOLUME, VOLUMES)
    with tempfile.TemporaryDirectory() as folder:
        files = prepared_files(Path(folder), shape, count)
        for name in ("quick", "rahimi2022", "nath2022"):
            if conditions.reaches(f"scoring {name}"):
                yield score_files(conditions, name, files, shape)


def score_files(conditions: Conditions, name: str, files: list[Path], shape: Size3D) -> dict[str, Any]:
    """One row: seconds of each part of a round, and the share of the bare passes in it."""
    recipe, device = load_recipe(name), conditions.device
    network = build(recipe, device)
    window = window_of(recipe, small=True) if conditions.small else recipe.prediction.window_size
    overlap, repeats = recipe.prediction.window_overlap, recipe.prediction.repeats
    predictor = Predictor(network, window, overlap, device)
    predictor.sample(torch.from_numpy(np.load(files[0])), repeats, SEED)  # libraries warm up
    parts = dict.fromkeys(("read", "sample", "statistics"), 0.0)
    scored, begun = 0, time.perf_counter()
    for file in files:
        if not conditions.reaches(f"{name}, volume {scored} and later"):
            break
        started = time.perf_counter()
        image = torch.from_numpy(np.load(file, mmap_mode="c")).float()
        read = time.perf_counter()
        statistics = predictor.sample(image, repeats, SEED)
        synchronise(device)
        sampled = time.perf_counter()
        volume_scores(statistics, recipe.regions, slice_axis=2)
        synchronise(device)
        done = time.perf_counter()
        for part, seconds in zip(parts, (read - started, sampled - read, done - sampled), strict=True):
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
        "volumes/s": scored / wall,
        **{f"{part} s": seconds for part, seconds in parts.items()},
        "bare s": bare,
        "busy": bare / wall,
    }


def seconds_a_window(conditions: Conditions, network: nn.Module, window: Size3D, predictor: Predictor) -> float:
    """Seconds for one window in a batch as the predictor makes them, without dropout."""
    batch = 2 if conditions.small else batching.BatchLimit(math.prod(window), conditions.device).items
    images = noise((batch, 1, *window), conditions.device).to(memory_format=torch.channels_last_3d)
    network = network.to(memory_format=torch.channels_last_3d)
    return conditions.seconds_of(lambda: predict(network, images, predictor.precision.dtype)) / batch


def memory(conditions: Conditions) -> Iterator[dict[str, Any]]:
    """A volume with all of the memory, and with so little that a batch does not fit."""
    device = conditions.device
    if device.type != "cuda" or not conditions.reaches("memory"):
        conditions.not_reached.append("memory: it needs a CUDA device")
        return
    recipe = load_recipe("rahimi2022")
    window = window_of(recipe, conditions.small)
    image = noise((1, *(2 * size for size in window)), device)
    whole = Predictor(build(recipe, device), window, 0.25, device, precision="float32")
    free = whole.sample(image, 4, SEED).mean
    at_most = torch.cuda.max_memory_allocated(device)
    limited = Predictor(build(recipe, device), window, 0.25, device, precision="float32")
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    warned = Warnings()
    logging.getLogger("activelabel.prediction.batching").addHandler(warned)
    torch.cuda.set_per_process_memory_fraction(at_most * 0.4 / total, device)
    try:
        little = limited.sample(image, 4, SEED).mean
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    yield {
        "peak GB with all": at_most / 1e9,
        "allowed GB": at_most * 0.4 / 1e9,
        "warnings": "; ".join(warned.lines),
        "largest difference": float((free - little).abs().max()),
    }


def prepared_files(folder: Path, shape: Size3D, count: int) -> list[Path]:
    """Volumes of noise on disk, as a cache of prepared images would have them."""
    rng = np.random.default_rng(SEED)
    values = rng.standard_normal((1, *shape), dtype=np.float32).astype(np.float16)
    files = []
    for number in range(count):
        file = folder / f"{number}.npy"
        np.save(file, np.roll(values, 7 * number, axis=1))
        files.append(file)
    return files


class Warnings(logging.Handler):
    """The lines that were logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(record.getMessage())
