"""The command `activelabel report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from activelabel.cli.options import Conf
from activelabel.errors import InvalidInputError
from activelabel.names import APP_FOLDER
from activelabel.quick_imports import no_collections

if TYPE_CHECKING:
    from activelabel.report.page import Page


def report(
    experiments: Annotated[
        list[Path] | None, typer.Argument(metavar="DIR...", help="Folders of experiments on the same test cases.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write; its folder is made.")] = Path("report.html"),
    studies: Annotated[
        str | None,
        typer.Option(help="A project instead of experiments: the folder with its images, or its PACS."),
    ] = None,
    conf: Conf = None,
) -> None:
    """Write a page on experiments or a project: which strategy is best, and whether to continue annotating.

    The page is one self-contained file; a folder beside it has all figures and tables as PNG and CSV.
    """
    with no_collections():
        from activelabel.report.page import write_page  # the drawing packages take long to import

    page = _page(experiments or [], studies, conf or [])
    files = write_page(page, out)
    typer.echo(f"{out}, and its figures and tables in {files}")


def _page(experiments: list[Path], studies: str | None, conf: list[str]) -> "Page":
    if bool(experiments) == (studies is not None):
        raise InvalidInputError(
            "expected folders of experiments, or --studies of a project, got both or neither: give one"
        )
    if studies is not None:
        from activelabel.project.settings import setting_pairs
        from activelabel.report.project import open_existing_project, project_page

        return project_page(open_existing_project(str(APP_FOLDER), studies, setting_pairs(conf)))
    if conf:
        raise InvalidInputError(
            f"--conf {conf[0]}: only a project has settings to give: give --studies, or leave it out"
        )
    with no_collections():
        from activelabel.report.experiments import experiments_page
        from activelabel.simulation.results import read_results

    return experiments_page(read_results(experiments))
