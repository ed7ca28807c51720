"""Forward passes of networks as CUDA graphs and compiled, for `run.py`."""

import subprocess
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from activelabel.prediction.devices.precision import choose_precision
from activelabel.recipes import load_recipe
from benchmarks.gpu.networks import RECIPES, batch_of, build, noise, predict, window_of
from benchmarks.gpu.timing import Conditions, Row, synchronise

Prepare = Callable[[nn.Module, Tensor, torch.dtype], Callable[[], object]]
"""From a network, images and a precision to its forward pass on them."""


def compiled(conditions: Conditions) -> Iterator[Row]:
    """Each way for each network beside the network as it is; on a CPU only the first network, compiled."""
    on_gpu = conditions.device.type == "cuda"
    for way, prepare in WAYS.items():
        if not on_gpu and way != "compiled":
            conditions.leave_out(way, "it needs a CUDA device")
            continue
        for name in RECIPES if on_gpu else RECIPES[:1]:
            if conditions.reaches(f"{name} {way}"):
                yield {"network": name, "way": way, **beside_plain(conditions, name, prepare)}


def beside_plain(conditions: Conditions, name: str, prepare: Prepare) -> Row:
    """Seconds of a pass as it is and prepared, of the preparation, and after how many passes this pays."""
    recipe, device = load_recipe(name), conditions.device
    dtype = choose_precision("auto", device).dtype
    shape = (batch_of(recipe, conditions.small), 1, *window_of(recipe, conditions.small))
    images = noise(shape, device).to(memory_format=torch.channels_last_3d)
    network = build(recipe, device).to(memory_format=torch.channels_last_3d)
    plain = conditions.seconds_of(lambda: predict(network, images, dtype))
    begun = time.perf_counter()
    try:
        run = prepare(network, images, dtype)
        run()
        synchronise(device)
        first = time.perf_counter() - begun
        seconds = conditions.seconds_of(run)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:  # what cannot be compiled or captured
        return {"plain s": plain, "problem": str(error).partition("\n")[0][:200]}
    saved = plain - seconds
    pays = {"pays after passes": round(first / saved)} if saved > 0 else {"pays": "never"}
    return {"plain s": plain, "pass s": seconds, "preparation s": first, **pays}


def captured(network: nn.Module, images: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    """The pass as a CUDA graph, which always reads the same `images`."""
    side = torch.cuda.Stream(images.device)
    side.wait_stream(torch.cuda.current_stream(images.device))
    with torch.cuda.stream(side):
        for _ in range(3):  # libraries set themselves up, which cannot be captured
            predict(network, images, dtype)
    torch.cuda.current_stream(images.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Without the cache of converted weights, whose copies would belong to the graph's memory.
    mixed = torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32, cache_enabled=False)
    with torch.no_grad(), torch.cuda.graph(graph), mixed:
        logits = network(images)
    kept = [logits]  # the memory that the graph writes into

    def replay() -> object:
        graph.replay()
        return kept

    return replay


def compiled_by(mode: str | None) -> Prepare:
    """`torch.compile` in a mode."""

    def prepare(network: nn.Module, images: Tensor, dtype: torch.dtype) -> Callable[[], object]:
        quick = torch.compile(network, mode=mode)
        return lambda: predict(quick, images, dtype)

    return prepare


WAYS: dict[str, Prepare] = {
    "CUDA graph": captured,
    "compiled": compiled_by(None),
    "compiled, CUDA graphs": compiled_by("reduce-overhead"),
}
