"""The command `activelabel models`: lists the models of a project and chooses the model in use."""

import getpass
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from activelabel.cli.options import Conf, Studies
from activelabel.errors import InvalidInputError
from activelabel.names import APP_FOLDER
from activelabel.store.records.models import Metrics, ModelKind, ModelVersion

if TYPE_CHECKING:
    from activelabel.project.models.standing import Standing
    from activelabel.store.ledger import Ledger

BEST = "best"
_MOST_DIGITS = 18  # of a version
KINDS = cast(tuple[ModelKind, ...], get_args(ModelKind))
COLUMNS = ("version", "kind", "published", "recipe", "Dice", "cases", "place", "in use", "file")


def models(
    studies: Studies,
    use: Annotated[
        str | None,
        typer.Option(
            help="The version to use from now on, even if others are published; `best` for the best model again."
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="With --use: name of the person who chooses. Default the name of the system's login."),
    ] = None,
    conf: Conf = None,
) -> None:
    """List the models of a project with their metrics, and show or choose the model in use.

    The best model on the current validation cases is in use, unless somebody chose another. A running server follows at
    once.
    """
    # Here, so that the command's --help does not wait for torch.
    from activelabel.project.existing import existing_ledger
    from activelabel.project.folders import project_folder
    from activelabel.project.models.standing import read_standing
    from activelabel.project.project import MODELS
    from activelabel.project.settings import parse_settings, setting_pairs

    if by is not None and use is None:
        raise InvalidInputError(f"--by {by}: says who chooses, so it goes with --use N or --use {BEST}")
    pairs = setting_pairs(conf or [])
    ledger = existing_ledger(str(APP_FOLDER), studies, pairs)
    folder = project_folder(str(APP_FOLDER), studies, parse_settings(pairs)) / MODELS
    if use is not None:
        choose(ledger, use, by or _login())
    for line in listing([read_standing(ledger, kind) for kind in KINDS], folder):
        typer.echo(line)


def choose(ledger: "Ledger", use: str, by: str) -> None:
    """Choose the model in use: `use` is a version, or `best` for the best of each kind.

    Raises:
        InvalidInputError: `use` is neither, or a version that was withdrawn.
        NotFoundError: there is no such version; the line lists the versions.
    """
    if use == BEST:
        for kind in KINDS:
            if ledger.model_use(kind) is not None:
                ledger.use_best(kind)
    elif use.isascii() and use.isdigit() and len(use) <= _MOST_DIGITS:
        ledger.use_model(int(use), by)
    else:
        raise InvalidInputError(f"--use {use[:40]}: expected the version of a model, or {BEST}")


def listing(standings: Sequence["Standing"], folder: Path) -> Iterator[str]:
    """Lines with a table of models, oldest first, the folder of their files, and the model in use of each kind."""
    rows = [(model, standing) for standing in standings for model in standing.models]
    if not rows:
        yield "No model yet."
        return
    table = [
        COLUMNS,
        *(_row(model, standing, folder) for model, standing in sorted(rows, key=lambda row: row[0].version)),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield f"The files are in {folder}."
    for standing in standings:
        if standing.models:
            yield str(standing) if standing.models[0].kind == "task" else f"Of the proxy models: {standing}"


def _row(model: ModelVersion, standing: "Standing", folder: Path) -> tuple[str, ...]:
    measured, place = standing.measurement_of(model.version), standing.place_of(model.version)
    metrics = measured.metrics if measured is not None else model.metrics
    return (
        str(model.version),
        model.kind,
        f"{model.created_at:%Y-%m-%d %H:%M}",
        model.recipe,
        _dice(metrics),
        str(measured.judges.cases) if measured is not None else "-",
        "-" if place is None else f"{place[0]} of {place[1]}",
        _used(model, standing),
        model.file if (folder / model.file).is_file() else f"{model.file} (missing)",
    )


def _dice(metrics: Metrics) -> str:
    """The mean Dice, followed by the Dice of each structure."""
    mean = metrics.get("dice")
    named = {name.removeprefix("dice_"): value for name, value in metrics.items() if name.startswith("dice_")}
    each = ", ".join(f"{name} {value:.3f}" for name, value in named.items() if value is not None)
    return "-" if mean is None else f"{mean:.3f} ({each})" if each else f"{mean:.3f}"


def _used(model: ModelVersion, standing: "Standing") -> str:
    if model.withdrawn_at is not None:
        return f"withdrawn {model.withdrawn_at:%Y-%m-%d}"
    if model != standing.in_use:
        return "-"
    if standing.chosen_by is not None:
        return f"chosen by {standing.chosen_by}"
    return "yes, the newest" if standing.place_of(model.version) is None else "yes, the best"


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name; Windows has no such list of users
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"
