"""The command `activelabel export`: writes the finished data set of a project, with the audit trail."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track

from activelabel.cli.consoles import errors, say
from activelabel.cli.options import Conf, Studies
from activelabel.names import APP_FOLDER

if TYPE_CHECKING:
    from activelabel.project.export.cases import ExportedCase
    from activelabel.project.images import Images
    from activelabel.project.project import Project


def export(
    studies: Studies,
    out: Annotated[Path, typer.Option(help="The folder to write, which must be new or empty.")],
    layout: Annotated[str, typer.Option(help="nnunet, decathlon or bids.")] = "nnunet",
    conf: Conf = None,
) -> None:
    """Write the finished data set of a project: images, labels with their names, the split, and the audit trail.

    What is exported is what a training would learn from: finished labels that no reviewer has returned, and with
    `--conf review true` only approved ones. The command changes nothing, but puts back what a power cut took of the
    newest labels, and the server may run.
    """
    # Here, so that the command's --help does not wait for torch.
    from activelabel.project.existing import existing_ledger
    from activelabel.project.export.writing import export_dataset
    from activelabel.project.labels.unsynced import write_lost
    from activelabel.project.opening import plan_project
    from activelabel.project.settings import setting_pairs

    def follow(cases: "Sequence[ExportedCase]") -> "Iterator[ExportedCase]":
        yield from track(cases, "exporting", console=errors)

    pairs = setting_pairs(conf or [])
    existing_ledger(str(APP_FOLDER), studies, pairs).check()
    project = plan_project(str(APP_FOLDER), studies, pairs)
    write_lost(project.ledger, project.labels_folder)
    done = export_dataset(project, images_of(project), out, layout, follow)
    for line in done.left_out:
        say(f"left out: {line}", "yellow")
    partly = f", {done.partial} of them in part" if done.partial else ""
    typer.echo(f"{done.training} training and {done.validation} validation cases{partly} in {out}")


def images_of(project: "Project") -> "Images":
    """The images of a project: files of a folder, or the series of a PACS, which are fetched."""
    from activelabel.project.export.folder_images import FolderImages
    from activelabel.project.studies import is_pacs

    if not is_pacs(project.studies):
        return FolderImages(project)
    # Here, because MONAI Label takes seconds to import.
    from activelabel.server.opening import open_datastore

    return open_datastore(project, project.studies, follow_changes=False)
