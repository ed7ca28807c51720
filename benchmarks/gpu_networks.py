"""Forward passes, training steps, dropout masks and compilation of the papers' networks, for `gpu.py`."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from gpu_timing import Conditions, peak_bytes, synchronise
from monai.losses import DiceCELoss
from torch import Tensor, nn

from activelabel.networks import build_network
from activelabel.prediction.dropout import Draw, ElementDropout, monte_carlo_dropout, random_layers
from activelabel.prediction.precision import choose_precision
from activelabel.prediction.windows import Size3D
from activelabel.recipes import Recipe, load_recipe

RECIPES = ("quick", "rahimi2022", "ma2024", "nath2022", "chlebus2022")
CLASSES = 3
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SEED = 20261129


def networks(conditions: Conditions) -> Iterator[dict[str, Any]]:
    """Each network in each layout and precision: forward pass, training step, peak memory, agreement."""
    for name in RECIPES:
        recipe = load_recipe(name)
        window, batch = window_of(recipe, conditions.small), batch_of(recipe, conditions.small)
        images = noise((batch, 1, *window), conditions.device)
        reference = exact_logits(build(recipe, conditions.device), images)
        for (layout, memory_format), (precision, dtype) in itertools.product(LAYOUTS.items(), PRECISIONS.items()):
            if not conditions.reaches(f"{name} {layout} {precision}"):
                continue
            network = build(recipe, conditions.device).to(memory_format=memory_format)
            measured = measure(conditions, network, images.to(memory_format=memory_format), dtype, reference)
            size = f"{batch} x {'x'.join(map(str, window))}"
            yield {"network": name, "batch": size, "layout": layout, "precision": precision, **measured}


def measure(
    conditions: Conditions, network: nn.Module, images: Tensor, dtype: torch.dtype, reference: Tensor
) -> dict[str, Any]:
    """The times, the memory and the agreement of one network."""
    forward = conditions.seconds_of(lambda: predict(network, images, dtype))
    distance, same = agreement(predict(network, images, dtype), reference)
    step = training_step(network, images, dtype)
    return {
        "forward s": forward,
        "step s": conditions.seconds_of(step),
        "step peak GB": gigabytes(peak_bytes(conditions.device, step)),
        "distance": distance,
        "same class": same,
    }


def masks(conditions: Conditions) -> Iterator[dict[str, Any]]:
    """The cost of dropout in a forward pass of repeats, by who draws the masks."""
    for name in ("quick", "rahimi2022"):
        if not conditions.reaches(f"masks {name}"):
            continue
        recipe, device = load_recipe(name), conditions.device
        network = build(recipe, device).to(memory_format=torch.channels_last_3d)
        batch = 4 if conditions.small else 16
        images = noise((batch, 1, *window_of(recipe, conditions.small)), device)
        images = images.to(memory_format=torch.channels_last_3d)
        draws = [Draw(SEED, repeat, 0) for repeat in range(batch)]
        for drawn_by, run in masked_passes(network, images, draws):
            yield {"network": name, "batch": batch, "masks": drawn_by, "forward s": conditions.seconds_of(run)}


def masked_passes(
    network: nn.Module, images: Tensor, draws: Sequence[Draw]
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Forward passes with masks of four origins; each is to be run before the next one is asked for."""
    device, dtype = images.device, choose_precision("auto", images.device).dtype
    yield "none", lambda: predict(network, images, dtype)
    for layer in random_layers(network):
        layer.train()
    yield "torch", lambda: predict(network, images, dtype)
    network.eval()

    with monte_carlo_dropout(network, device, channels_last=True) as dropout:

        def ours() -> None:
            dropout.begin(draws)
            predict(network, images, dtype)

        yield "ours: a generator an item", ours

    seeds = torch.tensor([int(draw.key().generate_state(1)[0]) for draw in draws], device=device)
    hooks = [layer.register_forward_hook(hashing_hook(seeds)) for layer in random_layers(network)]
    yield "hashed from a counter", lambda: predict(network, images, dtype)
    for hook in hooks:
        hook.remove()


def hashing_hook(seeds: Tensor) -> Callable[[ElementDropout, tuple[Tensor, ...], Tensor], Tensor]:
    """A hook whose masks are a hash of an item's seed and of the value's place: one stream an item, no generator."""

    def drop(layer: ElementDropout, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        (values,) = arguments
        count = values[0].numel()
        places = torch.arange(-(-count // 2), dtype=torch.int32, device=values.device)
        halves = hashed(seeds.int()[:, None] * -1640531535 + places[None]).view(torch.int16)[:, :count]
        threshold = round(layer.p * (1 << 16)) - (1 << 15)
        kept = (halves >= threshold).view(len(values), *values.shape[2:], values.shape[1])
        return values * kept.movedim(-1, 1) / (1 - layer.p)

    return drop


def hashed(words: Tensor) -> Tensor:
    """32 bits of each word mixed by the finaliser of MurmurHash3; as signed numbers, whose shifts keep the sign."""
    words = (words ^ ((words >> 16) & 0xFFFF)) * -2048144789
    words = (words ^ ((words >> 13) & 0x7FFFF)) * -1028477387
    return words ^ ((words >> 16) & 0xFFFF)


def compiled_networks(conditions: Conditions) -> Iterator[dict[str, Any]]:
    """Forward passes of compiled networks beside the network as it is."""
    modes = {"default": None, "CUDA graphs": "reduce-overhead"}
    for name, (shown, mode) in itertools.product(RECIPES, modes.items()):
        if conditions.device.type != "cuda" and mode is not None:
            continue
        if not conditions.reaches(f"compiled {name} {shown}"):
            continue
        recipe = load_recipe(name)
        images = noise((batch_of(recipe, conditions.small), 1, *window_of(recipe, conditions.small)), conditions.device)
        network = build(recipe, conditions.device).to(memory_format=torch.channels_last_3d)
        measured = compiled_beside_plain(conditions, network, images.to(memory_format=torch.channels_last_3d), mode)
        yield {"network": name, "mode": shown, **measured}


def compiled_beside_plain(
    conditions: Conditions, network: nn.Module, images: Tensor, mode: str | None
) -> dict[str, Any]:
    """Seconds of a pass as it is and compiled, and of the first pass, in which the compiler works."""
    dtype = choose_precision("auto", conditions.device).dtype
    plain = conditions.seconds_of(lambda: predict(network, images, dtype))
    compiled = torch.compile(network, mode=mode)
    begun = time.perf_counter()
    try:
        predict(compiled, images, dtype)
        synchronise(conditions.device)
        first = time.perf_counter() - begun
        seconds = conditions.seconds_of(lambda: predict(compiled, images, dtype))
    except RuntimeError as error:  # what the compiler cannot do is a result
        problem = str(error).partition("\n")[0][:200]
        return {"plain s": plain, "compiled s": None, "first s": None, "problem": problem}
    return {"plain s": plain, "compiled s": seconds, "first s": first, "problem": ""}


def build(recipe: Recipe, device: torch.device) -> nn.Module:
    """The recipe's network with the same weights at each call, in evaluation mode."""
    torch.manual_seed(SEED)
    return build_network(recipe.network, CLASSES).to(device).eval()


def noise(shape: Sequence[int], device: torch.device) -> Tensor:
    """The same noise at each call."""
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(SEED)).to(device)


def window_of(recipe: Recipe, small: bool) -> Size3D:
    """The recipe's patch, or its smallest sensible part."""
    w, h, d = recipe.training.patch_size
    return (min(w, 32), min(h, 32), min(d, 32)) if small else (w, h, d)


def batch_of(recipe: Recipe, small: bool) -> int:
    """The number of patches in a step of the recipe."""
    return 2 if small else max(recipe.training.batch_size * recipe.training.patches_per_volume, 2)


def predict(network: Callable[[Tensor], Tensor], images: Tensor, dtype: torch.dtype) -> Tensor:
    """Logits without gradients."""
    with torch.no_grad(), torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        logits = network(images)
    return logits


def exact_logits(network: nn.Module, images: Tensor) -> Tensor:
    """Logits in float32, without the shorter mantissas that CUDA's convolutions take by default."""
    allowed, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        return predict(network, images, torch.float32)
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def agreement(logits: Tensor, reference: Tensor) -> tuple[float, float]:
    """The distance relative to the reference's norm, and the share of voxels with the same class."""
    distance = (logits.float() - reference).norm() / reference.norm()
    return float(distance), float((logits.argmax(1) == reference.argmax(1)).float().mean())


def training_step(network: nn.Module, images: Tensor, dtype: torch.dtype) -> Callable[[], None]:
    """A step of the optimiser on a made-up label, as a training does it."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler(images.device.type, enabled=dtype == torch.float16)
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    labels = (images.abs() > 1).to(torch.int64)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
            logits = network(images)
        scaler.scale(loss(logits.float(), labels)).backward()
        scaler.step(optimiser)
        scaler.update()

    return step


def gigabytes(count: int | None) -> float | None:
    """In units of 10⁹ bytes."""
    return None if count is None else count / 1e9
