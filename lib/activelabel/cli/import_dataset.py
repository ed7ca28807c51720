"""The command `activelabel import`: makes a project of a data set that `activelabel export` wrote."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from activelabel.cli.consoles import errors, say
from activelabel.cli.options import Conf
from activelabel.errors import InvalidInputError
from activelabel.names import APP_FOLDER


def import_dataset(
    source: Annotated[Path, typer.Option("--from", help="The folder that `activelabel export` wrote, any layout.")],
    studies: Annotated[Path, typer.Option(help="The folder of images to make, which must be new or empty.")],
    conf: Conf = None,
) -> None:
    """Make a project of an exported data set: images, labels, split, and all that its audit trail tells.

    The new ledger has the same cases, queries, labels, drafts, reviews and skips. Models do not come along: they
    count as withdrawn, and the next training makes a new one. Nothing is imported into a project that has begun.
    """
    # Here, so that the command's --help does not wait for torch.
    from activelabel.project.export import importing
    from activelabel.project.export.audit_reading import read_trail
    from activelabel.project.export.import_plan import channels_of, check_labels
    from activelabel.project.opening import make_folder, plan_without_labels
    from activelabel.project.serving import claim
    from activelabel.project.settings import parse_settings, setting_pairs
    from activelabel.project.studies import is_pacs

    if is_pacs(str(studies)):
        raise InvalidInputError(f"--studies {studies}: images are written into a folder: name one")
    pairs = setting_pairs(conf or [])
    given = parse_settings(pairs)  # before a long data set is read
    trail = read_trail(source)
    check_labels(trail, given.labels)
    channels = ",".join(channels_of(trail))
    if channels:
        pairs.setdefault("channels", channels)
    project = plan_without_labels(str(APP_FOLDER), str(studies), pairs)
    importing.check_new(project)
    make_folder(project)
    claim(project)

    def follow(files: Sequence[Path]) -> Iterator[Path]:
        yield from track(files, "importing", console=errors)

    done = importing.import_dataset(project, source, trail, follow)
    for line in done.gone:
        say(line, "yellow")
    typer.echo(
        f"{done.images} images with {done.labels} versions of labels, {done.drafts} drafts and {done.queries} queries "
        f"are in {studies}; start it with `activelabel start --studies {studies}"
        + (f" --conf channels '{channels}'`" if channels else "`")
    )
