"""The devices of this machine, under the names by which the host's clients list them."""

import torch


def gpu_count() -> int:
    """How many GPUs there are."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_names() -> list[str]:
    """The names in the clients' form: those of the GPUs, or `cpu`."""
    return list(_gpus()) or ["cpu"]


def device_of_name(name: str) -> str:
    """The device that a client names. A GPU is the processor where there is none, as for the host."""
    name = name or "cuda"
    if name.startswith("cuda") and not gpu_count():
        return "cpu"
    return _gpus().get(name, name)


def _gpus() -> dict[str, str]:
    """The GPUs by name: a single one is `cuda`, several have their numbers in name and device."""
    names = [torch.cuda.get_device_name(number) for number in range(gpu_count())]
    if len(names) == 1:
        return {names[0]: "cuda"}
    return {f"{name}:{number}": f"cuda:{number}" for number, name in enumerate(names)}
