"""Forward passes, training steps and dropout masks of the papers' networks, for `run.py`."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from monai.losses import DiceCELoss
from torch import Tensor, nn

from activelabel.networks import build_network
from activelabel.prediction.devices.precision import choose_precision
from activelabel.prediction.dropout import Draw, ElementDropout, monte_carlo_dropout, random_layers
from activelabel.prediction.windows import Size3D
from activelabel.recipes import Recipe, load_recipe
from benchmarks.gpu.timing import Conditions, Row, bandwidth, peak_bytes

RECIPES = ("quick", "rahimi2022", "ma2024", "nath2022", "chlebus2022")
CLASSES = 3
LAYOUTS = {"channels_last_3d": torch.channels_last_3d, "contiguous": torch.contiguous_format}
PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}
SEED = 20261129


def networks(conditions: Conditions) -> Iterator[Row]:
    """Each network in each layout and precision: forward pass, training step, peak memory, agreement, traffic.

    What is expected to be fastest comes first, so that each network has a row if time is short.
    """
    bytes_per_second = bandwidth(conditions)
    for (layout, memory_format), (precision, dtype) in itertools.product(LAYOUTS.items(), PRECISIONS.items()):
        for name in RECIPES:
            if not conditions.reaches(f"{name} {layout} {precision}"):
                continue
            recipe = load_recipe(name)
            window, batch = window_of(recipe, conditions.small), batch_of(recipe, conditions.small)
            size = f"{batch} x {'x'.join(map(str, window))}"
            case: Row = {"network": name, "batch": size, "layout": layout, "precision": precision}
            try:
                images = noise((batch, 1, *window), conditions.device)
                reference = exact_logits(build(recipe, conditions.device), images)
                network = build(recipe, conditions.device).to(memory_format=memory_format)
                images = images.to(memory_format=memory_format)
                case |= measure(conditions, network, images, dtype, reference, bytes_per_second)
            except RuntimeError as error:  # a precision that has no kernel, or too little memory, is a result
                case["problem"] = str(error).partition("\n")[0][:200]
            yield case


def measure(
    conditions: Conditions,
    network: nn.Module,
    images: Tensor,
    dtype: torch.dtype,
    reference: Tensor,
    bytes_per_second: float,
) -> Row:
    """The times, the memory, the agreement and the traffic of one network."""
    logits = predict(network, images, dtype)
    distance, same = agreement(logits, reference)
    forward = conditions.seconds_of(lambda: predict(network, images, dtype))
    traffic = least_traffic(network, images, dtype)
    step = training_step(network, images, dtype)
    peak = peak_bytes(conditions.device, step)
    return {
        "forward s": forward,
        "step s": conditions.seconds_of(step),
        "step peak GB": None if peak is None else peak / 1e9,
        "distance": distance,
        "same class": same,
        "traffic GB": traffic / 1e9,
        "of bandwidth": traffic / forward / bytes_per_second,
    }


def least_traffic(network: nn.Module, images: Tensor, dtype: torch.dtype) -> int:
    """The bytes that the layers of a forward pass read and write, if each reads its inputs and weights once."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += sum(values.nbytes for values in (*inputs, output, *layer.parameters()))

    leaves = [layer for layer in network.modules() if not any(True for _ in layer.children())]
    hooks = [layer.register_forward_hook(count) for layer in leaves]
    predict(network, images, dtype)
    for hook in hooks:
        hook.remove()
    return total


def masks(conditions: Conditions) -> Iterator[Row]:
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
