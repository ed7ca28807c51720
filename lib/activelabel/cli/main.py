"""The command `activelabel`.

Commands import their dependencies when they run, so that `--help` does not wait for torch.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.table import Table
from rich.text import Text

from activelabel import __version__
from activelabel.analysis.harmless_text import visible
from activelabel.cli.check import check
from activelabel.cli.consoles import console, say
from activelabel.cli.dicom_folder import images_to_look_at
from activelabel.cli.export import export
from activelabel.cli.import_dataset import import_dataset
from activelabel.cli.model import model
from activelabel.cli.models import models
from activelabel.cli.options import Conf, ConfGroup, StudiesAsGiven
from activelabel.cli.recipe import recipe
from activelabel.cli.report import report
from activelabel.cli.restore import restore
from activelabel.cli.rtstruct import rtstruct
from activelabel.cli.simulate import simulate
from activelabel.cli.slicer_module import slicer_module
from activelabel.cli.start import start
from activelabel.cli.user import user
from activelabel.cli.work import work
from activelabel.data.files.writing import CANNOT_BE_WRITTEN
from activelabel.errors import ActiveLabelError
from activelabel.lean_imports import import_monai_lean
from activelabel.names import AGGREGATIONS, APP_FOLDER, MEASURE_NAMES, REGION_NAMES

app = typer.Typer(cls=ConfGroup, help="Active learning for 3D medical image segmentation.", no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"activelabel {__version__}")
        raise typer.Exit


@app.callback()
def commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Active learning for 3D medical image segmentation."""


@app.command()
def doctor(
    studies: StudiesAsGiven,
    conf: Conf = None,
) -> None:
    """Check environment, GPU, disk, studies, ledger and model, and say how to correct what is wrong.

    Exit code 0: a server would run; 1: something must be corrected first.
    """
    from activelabel.cli.doctor.command import examine
    from activelabel.project.settings import setting_pairs

    settings = setting_pairs(conf or [])
    with images_to_look_at(studies, settings) as images:
        findings = list(examine(str(APP_FOLDER), images, settings))
    table = Table("", "what", "found", "what to do")
    for finding in findings:
        mark = "[green]ok[/]" if finding.fit else "[red]no[/]"
        texts = (finding.subject, finding.text, "" if finding.fit else finding.advice)
        table.add_row(mark, *(Text(visible(text)) for text in texts))  # a name may look like markup
    console.print(table)
    if not all(finding.fit for finding in findings):
        raise typer.Exit(1)


@app.command()
def score(
    images: Annotated[Path, typer.Option(help="A folder of images.")],
    model: Annotated[Path, typer.Option(help="A model version: a .safetensors file of a project's models folder.")],
    out: Annotated[Path, typer.Option(help="The table to write: .csv or .parquet.")],
    measure: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(MEASURE_NAMES)}; repeat for more. Default all.")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(REGION_NAMES)}; repeat for more. Default all.")
    ] = None,
    aggregation: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(AGGREGATIONS)}; repeat for more. Default all.")
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(min=0, help="Monte Carlo repeats; 0 is a single pass with dropout off. Default the recipe's."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random numbers.")] = 0,
    recipe: Annotated[str | None, typer.Option(help="Name or .toml of the recipe. Default the model's own.")] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1, help="Find only this many largest scores; other images drop out before they get all repeats."
        ),
    ] = None,
    slices: Annotated[bool, typer.Option(help="Score slices too, in the plane of the acquisition.")] = False,
    maps: Annotated[Path | None, typer.Option(help="Folder for uncertainty maps as NIfTI.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for pictures of the most uncertain slices.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    precision: Annotated[
        str, typer.Option(help="auto, float32 or bfloat16. On a CPU, auto goes by its flags; nothing is measured.")
    ] = "auto",
    channel_files: Annotated[
        str, typer.Option(help="What the files of the model's channels end in, by commas: _flair,_t1. Default _0000,….")
    ] = "",
) -> None:
    """Score images by the uncertainty of a model, without a server.

    A stopped run continues when it is started again with the same options. With --top, the images
    that dropped out are in the table too, with their number of repeats; compare scores of equal repeats only.
    """
    from activelabel.cli.score import score_images

    score_images(
        images, model, out, measure, region, aggregation, repeats, seed, recipe, top, slices, maps, pictures, device,
        precision, channel_files,
    )  # fmt: skip


app.command()(start)
app.command()(models)
app.command()(simulate)
app.command()(report)
app.command()(recipe)
app.command()(restore)
app.command()(check)
app.command()(export)
app.command("import")(import_dataset)
app.command()(rtstruct)
app.command()(work)
app.command("slicer-module")(slicer_module)
app.add_typer(user, name="user")
app.add_typer(model, name="model")


def main() -> None:
    """Run the command. A user error, wrong use included, is printed as one line, and gives exit code 2; Ctrl-C 130."""
    import_monai_lean()
    try:
        code = app(prog_name="activelabel", standalone_mode=False)
    except ActiveLabelError as error:
        say(str(error), "red")
        raise SystemExit(2) from error
    except _WRONG_USE as error:
        _say_wrong_use(error)
        raise SystemExit(2) from error
    except OSError as error:
        if error.errno not in CANNOT_BE_WRITTEN:
            raise
        place = error.filename2 or error.filename or "a file"
        reason = f"it cannot be read or written ({error.strerror})"
        say(f"{place}: {reason}: free some room or allow it, and try again", "red")
        raise SystemExit(2) from error
    except typer.Abort as error:
        say("stopped", "red")
        raise SystemExit(1) from error
    if code == _STOPPED:
        say("stopped", "red")
    raise SystemExit(code if isinstance(code, int) else 0)


_STOPPED = 130
"""What typer makes of Ctrl-C."""
_WRONG_USE = cast(type[Exception], typer.BadParameter.__bases__[0])
"""click's error for wrong use; some versions of typer have their own copy of click."""


def _say_wrong_use(error: Any) -> None:
    """Say in one line what is wrong with a command line; a group without a command shows its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    command = error.ctx.command_path if error.ctx is not None else _command_typed()
    say(f"{command}: {' '.join(error.format_message().split())} ({command} --help says more)", "red")


def _command_typed() -> str:
    """The words before the options that name a command: an option without its value has no context."""
    known: Any = typer.main.get_command(app)
    typed = ["activelabel"]
    for word in sys.argv[1:]:
        known = getattr(known, "commands", {}).get(word)
        if known is None:
            break
        typed.append(word)
    return " ".join(typed)
