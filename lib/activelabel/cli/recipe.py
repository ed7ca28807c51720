"""The command `activelabel recipe`: makes a recipe for a folder of images, with a reason for each number."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from activelabel.cli.consoles import errors, say
from activelabel.errors import InvalidInputError

if TYPE_CHECKING:
    from activelabel.data.files.channels import ChannelLayout
    from activelabel.data.labels.label_map import LabelMap
    from activelabel.recipes.fingerprint import Machine

_SHARE_OF_MEMORY = 0.5
"""Share of the free memory that a training may take; images, the server and other programs need the rest."""


def recipe(
    images: Annotated[Path, typer.Option(help="A folder of images.")],
    out: Annotated[Path, typer.Option(help="The recipe to write, a .toml file.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="A folder with labels of some images; their foreground determines the intensity window of CT."
        ),
    ] = None,
    label_names: Annotated[
        str,
        typer.Option(
            help="Structures, separated by commas, with their values if need be: liver=1+2,ignore=3. Default a "
            "dataset.json beside the images, else every value above 0 is a structure."
        ),
    ] = "",
    channels: Annotated[
        str, typer.Option(help="Names of the channels, separated by commas. Default from a dataset.json, else one.")
    ] = "",
    channel_files: Annotated[
        str, typer.Option(help="What the files of the channels end in, by commas: _flair,_t1. Default _0000,_0001.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda: the device of trainings.")] = "auto",
    memory_gb: Annotated[
        float | None, typer.Option(min=0.1, help="Gigabytes a training may take. Default half of what is free now.")
    ] = None,
) -> None:
    """Make a recipe from spacing, sizes and intensities of images and the available memory, with reasons.

    The rules are those of nnU-Net's planning, with the networks of this project. The command trains nothing.
    """
    # Here, so that the command's --help does not wait for torch.
    from activelabel.data.files.labels_folder import find_labels
    from activelabel.data.files.studies_folder import find_images
    from activelabel.data.files.writing import write_atomically
    from activelabel.data.fingerprint import take_fingerprint
    from activelabel.recipes import load_recipe
    from activelabel.recipes.planning import plan
    from activelabel.recipes.writing import as_toml, name_of

    if out.suffix != ".toml":
        raise InvalidInputError(f"--out {out}: expected a file that ends in .toml")
    for option, folder in (("--images", images), ("--labels", labels)):
        if folder is not None and not folder.is_dir():
            raise InvalidInputError(f"{option} {folder}: there is no such folder")
    without = () if labels is None or labels == images else (labels,)
    found = find_images(images, without=without, links_out=True, layout=_layout(images, channels, channel_files))
    if not found.files:
        raise InvalidInputError(f"--images {images}: expected 3D images, found none")
    drawn = (
        {} if labels is None else {name: labels / path for name, path in find_labels(labels, found.files).files.items()}
    )
    layout = found.layout
    with Progress(console=errors) as bar:
        task = bar.add_task("looking at images", total=len(found.files))
        paths = {image_id: found.image(image_id) for image_id in found.files}
        named = _label_map(images, label_names)
        data, problems = take_fingerprint(paths, drawn, lambda _: bar.advance(task), named)
    for line in (*found.lines(), *problems):
        say(line)
    machine = _machine(device, memory_gb)
    try:
        write_atomically(out, as_toml(name_of(out), plan(data, machine), data, machine, layout.names).encode())
    except OSError as error:
        raise InvalidInputError(f"--out {out}: cannot be written ({error.strerror}): give another") from error
    load_recipe(str(out))
    typer.echo(f"{out}: for {len(data.shapes)} images; use it with --conf recipe {out}, or simulate --recipe {out}")


def _label_map(images: Path, label_names: str) -> "LabelMap | None":
    from activelabel.data.labels.label_texts import parse_labels
    from activelabel.project.labels.names import resolve_label_names

    if label_names:
        return parse_labels(label_names.split(","), "--label-names")
    described = any((folder / "dataset.json").is_file() for folder in (images, images.parent))
    return resolve_label_names((), str(images)) if described else None


def _layout(images: Path, channels: str, channel_files: str) -> "ChannelLayout":
    from activelabel.data.dataset_json import declared_channels
    from activelabel.data.files.channels import channel_layout

    names, files = ([part.strip() for part in text.split(",") if part.strip()] for text in (channels, channel_files))
    declared = declared_channels((images, images.parent))
    return channel_layout(names, files, declared=declared if len(declared) > 1 else ())


def _machine(device: str, memory_gb: float | None) -> "Machine":
    import psutil
    import torch

    from activelabel.recipes.fingerprint import Machine

    if device not in ("auto", "cpu", "cuda"):
        raise InvalidInputError(f"--device {device}: expected auto, cpu or cuda")
    has_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if memory_gb is not None and not math.isfinite(memory_gb):
        raise InvalidInputError(f"--memory-gb {memory_gb}: expected a number of gigabytes")
    if memory_gb is not None:
        return Machine(int(memory_gb * 2**30), has_gpu)
    if has_gpu and not torch.cuda.is_available():
        raise InvalidInputError("--device cuda: there is no GPU here: say with --memory-gb what it will have")
    free = torch.cuda.mem_get_info()[0] if has_gpu else psutil.virtual_memory().available
    return Machine(int(free * _SHARE_OF_MEMORY), has_gpu)
