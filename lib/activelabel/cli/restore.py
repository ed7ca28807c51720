"""The command `activelabel restore`: replaces a damaged or missing ledger of a project by a copy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from activelabel.cli.options import Conf, Studies
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.names import APP_FOLDER
from activelabel.store.copies import copies_folder, damage, list_copies, restore_copy

if TYPE_CHECKING:
    from activelabel.project.project import Project


def restore(
    studies: Studies,
    copy: Annotated[Path | None, typer.Option(help="The copy to restore. Default the newest undamaged copy.")] = None,
    from_archive: Annotated[
        bool,
        typer.Option("--from-archive", help="Make a new ledger from the records beside the labels, without a copy."),
    ] = False,
    show: Annotated[bool, typer.Option("--list", help="List the copies, and change nothing.")] = False,
    conf: Conf = None,
) -> None:
    """Restore a project's ledger from a copy. The server must not run; the old ledger is moved aside, never removed.

    Without an undamaged copy, --from-archive makes a ledger from the labels: versions, annotators, times and queries.
    """
    # Here, so that the command's --help does not wait for torch.
    from activelabel.project.opening import make_folder, plan_project
    from activelabel.project.serving import claim
    from activelabel.project.settings import setting_pairs

    project = plan_project(str(APP_FOLDER), studies, setting_pairs(conf or []))
    ledger = project.ledger.file
    if from_archive and (copy is not None or show):
        raise InvalidInputError("--from-archive: takes no copy, so leave --copy and --list out")
    if from_archive:
        _check_project_is_there(project, copy)
        make_folder(project)
        claim(project)
        _rebuild(project)
        return
    if ledger is None:
        raise InvalidInputError(
            f"ledger {project.ledger.shown_url}: copies of a PostgreSQL ledger are made and put back with its own "
            "tools, pg_dump and pg_restore"
        )
    if show:
        _check_project_is_there(project, copy)
        for found in list_copies(ledger):
            typer.echo(f"{found}  {found.stat().st_size:,} bytes  {damage(found) or 'whole'}")
        return
    chosen = copy or _newest_whole(ledger)
    _check_project_is_there(project, copy)
    make_folder(project)
    claim(project)
    aside = restore_copy(ledger, chosen)
    typer.echo(f"{ledger} is the copy {chosen.name} now" + (f"; what was there is in {aside}" if aside else ""))
    progress = project.ledger.progress()
    typer.echo(f"it knows {progress.images} images, {progress.annotated} of them annotated")


def _check_project_is_there(project: "Project", copy: Path | None) -> None:
    """Refuse a mistyped or unmounted folder, which would be made. A copy from elsewhere may begin a folder anew."""
    from activelabel.project.studies import is_pacs

    may_begin = copy is not None and (is_pacs(project.studies) or Path(project.studies).is_dir())
    if not project.folder.is_dir() and not may_begin:
        raise NotReadyError(
            f"--studies {project.studies}: expected a project in {project.folder}, which is no folder: check the "
            "path, is its disk mounted? Or say with --conf project_dir DIR where the project is"
        )


def _rebuild(project: "Project") -> None:
    from activelabel.project.rebuilding import check_there_is_none, rebuild_ledger

    check_there_is_none(project.ledger)
    made = rebuild_ledger(project)
    found, aside = made.rebuilt, f"; what was there is in {made.aside}" if made.aside else ""
    typer.echo(f"{project.ledger.shown_url} is made anew of the labels in {project.labels_folder}{aside}")
    typer.echo(
        f"{found.images} images with labels by {', '.join(found.annotators) or 'nobody known'}: {found.labels} "
        f"versions, {found.drafts} drafts, {found.queries} queries, and {found.history} versions without a record"
    )
    for line in made.lines:
        typer.echo(line)


def _newest_whole(ledger: Path) -> Path:
    """The newest undamaged copy."""
    whole = next((copy for copy in reversed(list_copies(ledger)) if damage(copy) is None), None)
    if whole is None:
        raise NotReadyError(
            f"{copies_folder(ledger)}: there is no whole copy of the ledger: name one with --copy, or make "
            "the ledger anew of the labels with --from-archive"
        )
    return whole
