"""The command `activelabel slicer-module`: writes the module ActiveLabel for 3D Slicer."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from activelabel.errors import InvalidInputError
from activelabel.names import SLICER_MODULE


def slicer_module(
    out: Annotated[Path, typer.Option(help="The folder in which the module's own folder, ActiveLabel, is written.")],
) -> None:
    """Write the module ActiveLabel for 3D Slicer, and say how to add it. An older one in its place is replaced."""
    target = out / SLICER_MODULE.name
    if target.exists() and not (target / "ActiveLabel.py").is_file():
        raise InvalidInputError(f"--out {out}: {target} is there and is no module of ours: name another folder")
    new = out / f"{SLICER_MODULE.name}.new"
    try:
        out.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(SLICER_MODULE, new, ignore=shutil.ignore_patterns("__pycache__"))
        if target.exists():
            shutil.rmtree(target)
        new.rename(target)
    except OSError as error:
        raise InvalidInputError(
            f"--out {out}: cannot be written ({error.strerror}): name a folder that you may write"
        ) from error
    typer.echo(f"wrote {target.resolve()}")
    typer.echo(
        "In 3D Slicer: Edit > Application Settings > Modules > Additional module paths > Add, choose this folder,"
    )
    typer.echo("restart Slicer, and open the module ActiveLabel (category Active Learning).")
