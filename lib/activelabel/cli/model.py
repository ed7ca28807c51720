"""The commands `activelabel model`: exports a model of a project, and imports weights from elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from activelabel.cli.options import Conf, Studies
from activelabel.errors import InvalidInputError
from activelabel.names import APP_FOLDER

if TYPE_CHECKING:
    from activelabel.project.project import Project

model = typer.Typer(help="Take a model out of a project, or bring one in: export, import.", no_args_is_help=True)


@model.command("export")
def export_model(
    studies: Studies,
    out: Annotated[Path, typer.Option(help="The folder of the bundle, or the file, to write. It must not exist.")],
    form: Annotated[str, typer.Option("--format", help="bundle (of MONAI), torchscript or onnx.")] = "bundle",
    version: Annotated[int | None, typer.Option(help="The version of the model. Default the model in use.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="The licence of the model, such as CC-BY-4.0. Default 'not given'.")
    ] = None,
    conf: Conf = None,
) -> None:
    """Export a model, with a model card, so that it runs where activelabel is not installed.

    A bundle segments images (`python -m monai.bundle run`) with the same masks; the other forms hold the network alone,
    from prepared windows to logits. The files that are given get nothing of the images or of the annotators.
    """
    # Here, so that the command's --help does not wait for torch.
    from activelabel.exchange.exporting import exported, write_model
    from activelabel.project.existing import existing_ledger
    from activelabel.project.opening import plan_project
    from activelabel.project.settings import setting_pairs

    pairs = setting_pairs(conf or [])
    existing_ledger(str(APP_FOLDER), studies, pairs)
    taken = exported(plan_project(str(APP_FOLDER), studies, pairs), version, licence)
    for path in write_model(taken, form, out):
        typer.echo(f"wrote {path}")
    if form == "bundle":
        typer.echo(f"cd {out} && python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES")


@model.command("import")
def import_model(
    studies: Studies,
    file: Annotated[
        Path | None,
        typer.Argument(help="A .safetensors model, weights of torch (.pt), or the folder of a MONAI bundle."),
    ] = None,
    use: Annotated[
        bool, typer.Option("--use", help="Publish it as a model of the project too, which must fit as a whole.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Begin trainings without imported weights again; takes no file.")
    ] = False,
    conf: Conf = None,
) -> None:
    """Begin all trainings of a project with weights from elsewhere, and say what of them fits and what does not.

    The last layer is taken over only from a model with the same labels. Give the server's settings with --conf, its
    recipe above all. Earlier imports and models stay in their files. No code in a file is run.
    """
    # Here, so that the command's --help does not wait for torch.
    from activelabel.project.opening import open_project
    from activelabel.project.settings import setting_pairs

    if forget == (file is not None) or (forget and use):
        raise InvalidInputError("model import: expected a FILE, or --forget alone")
    project = open_project(str(APP_FOLDER), studies, setting_pairs(conf or []))
    if file is None:
        _forget(project)
    else:
        _take_over(project, file, use=use)


def _forget(project: "Project") -> None:
    from activelabel.project.models.start import forget_start

    forget_start(project)
    typer.echo("trainings begin without imported weights from now on")


def _take_over(project: "Project", file: Path, *, use: bool) -> None:
    from activelabel.exchange.importing import import_model, import_start

    if use:
        fitting, standing = import_model(project, file)
        typer.echo("\n".join((*fitting.lines, standing)))
        return
    fitting = import_start(project, file)
    typer.echo("\n".join((*fitting.lines, "trainings of this project begin with these weights from now on")))
    if fitting.whole:
        typer.echo("it is a whole model of this project: --use makes it a model that can draw at once")
