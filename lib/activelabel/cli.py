"""The command `activelabel`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from activelabel.errors import ActiveLabelError, InvalidInputError
from activelabel.server.doctor import examine

app = typer.Typer(help="Active learning for 3D medical image segmentation.", no_args_is_help=True)
console = Console()

APP_FOLDER = Path(__file__).parents[2] / "apps" / "activelabel"


@app.callback()
def commands() -> None:
    """Active learning for 3D medical image segmentation."""


@app.command()
def doctor(
    studies: Annotated[Path, typer.Option(help="The folder with the images.")],
    conf: Annotated[
        list[str] | None, typer.Option(help="A setting of the server as KEY=VALUE; may be repeated.")
    ] = None,
) -> None:
    """Say whether environment, GPU, disk, studies, ledger and model are fit, and what to do if not.

    Exit code 0: a server would run; 1: something must be mended first.
    """
    findings = list(examine(str(APP_FOLDER), str(studies), _settings(conf or [])))
    table = Table("", "what", "found", "what to do", show_lines=False)
    for finding in findings:
        table.add_row(
            "[green]ok[/]" if finding.fit else "[red]no[/]",
            finding.subject,
            finding.text,
            "" if finding.fit else finding.advice,
        )
    console.print(table)
    if not all(finding.fit for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command. What the user can mend is one line, and exit code 2."""
    try:
        app()
    except ActiveLabelError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, soft_wrap=True)
        raise SystemExit(2) from error


def _settings(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise InvalidInputError(f"--conf {pair}: expected KEY=VALUE, like --conf recipe=quick")
    return dict(pair.split("=", 1) for pair in pairs)
