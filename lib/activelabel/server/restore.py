"""The command `activelabel restore`: puts a copy of a project's ledger in the place of one that is damaged or gone."""

from pathlib import Path
from typing import Annotated

import typer

import activelabel
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.store.copies import copies_folder, damage, list_copies, restore_copy

APP_FOLDER = Path(activelabel.__file__).parents[2] / "apps" / "activelabel"


def restore(
    studies: Annotated[str, typer.Option(help="The folder with the images, or the DICOMweb address of a PACS.")],
    copy: Annotated[Path | None, typer.Option(help="The copy to put back. Default the newest whole one.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the copies, and change nothing.")] = False,
    conf: Annotated[list[str] | None, typer.Option(help="A setting of the server, KEY=VALUE; repeat for more.")] = None,
) -> None:
    """Put a copy of a project's ledger back. The server must not run; what was there is moved aside, never removed."""
    # Here, so that the command's --help does not wait for torch.
    from activelabel.server.project import make_folder, plan_project
    from activelabel.server.serving import claim
    from activelabel.server.settings import setting_pairs

    project = plan_project(str(APP_FOLDER), studies, setting_pairs(conf or []))
    ledger = project.ledger.file
    if ledger is None:
        raise InvalidInputError(
            f"ledger {project.ledger.shown_url}: copies of a PostgreSQL ledger are made and put back with its own "
            "tools, pg_dump and pg_restore"
        )
    if show:
        for found in list_copies(ledger):
            typer.echo(f"{found}  {found.stat().st_size:,} bytes  {damage(found) or 'whole'}")
        return
    make_folder(project)
    claim(project)
    chosen = copy or _newest_whole(ledger)
    aside = restore_copy(ledger, chosen)
    typer.echo(f"{ledger} is the copy {chosen.name} now" + (f"; what was there is in {aside}" if aside else ""))
    progress = project.ledger.progress()
    typer.echo(f"it knows {progress.images} images, {progress.annotated} of them annotated")


def _newest_whole(ledger: Path) -> Path:
    """The newest copy that is not damaged."""
    whole = next((copy for copy in reversed(list_copies(ledger)) if damage(copy) is None), None)
    if whole is None:
        raise NotReadyError(f"{copies_folder(ledger)}: there is no whole copy of the ledger: name one with --copy")
    return whole
