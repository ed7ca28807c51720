"""Writes a planned recipe as a TOML file, with the reason for each number beside it."""

import json
from collections.abc import Sequence
from pathlib import Path

from activelabel.recipes.fingerprint import Fingerprint, Machine
from activelabel.recipes.planning import Plan

_WIDTH = 44


def as_toml(name: str, planned: Plan, data: Fingerprint, machine: Machine, channels: Sequence[str] = ()) -> str:
    """The text of the file; each line of a section ends in a comment with the reason."""
    device = "a GPU" if machine.has_gpu else "a processor"
    lines = [
        f"# Planned for {len(data.shapes)} images and {device} with {machine.memory_bytes / 2**30:.1f} GiB to spend.",
        f"name = {json.dumps(name)}",
        f"title = {json.dumps(f'Monte Carlo variance over whole volumes, planned for {len(data.shapes)} images')}",
        'source = "The planning rules of Isensee et al. 2021 (nnU-Net), with networks and short trainings of ours"',
    ]
    if channels:
        lines.append(f"channels = {json.dumps(list(channels), ensure_ascii=False)}")
    for section, choices in planned.items():
        lines += ["", f"[{section}]"]
        for key, choice in choices.items():
            lines.append(f"{f'{key} = {json.dumps(choice.value)}':{_WIDTH}}# {choice.why}")
    return "\n".join(lines) + "\n"


def name_of(path: Path) -> str:
    """The name of a recipe, which is that of its file."""
    return path.stem
