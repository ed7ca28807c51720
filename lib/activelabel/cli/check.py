"""The command `activelabel check`: verifies that no file of a project has changed since it was kept."""

import typer
from rich.progress import track

from activelabel.cli.consoles import errors
from activelabel.cli.options import Conf, Studies
from activelabel.names import APP_FOLDER


def check(
    studies: Studies,
    conf: Conf = None,
) -> None:
    """Read every image, every version of every label and every model of a project, and compare them with the ledger.

    The command changes nothing, but puts back what a power cut took of the newest labels, and the server may run. Exit
    code 0: no file has changed; 1: some files have changed, and a line for each says what to do; 2: there is no such
    project, or its ledger is damaged.
    """
    # Here, so that the command's --help does not wait for torch.
    from activelabel.project.check import checks_of
    from activelabel.project.existing import existing_ledger
    from activelabel.project.labels.unsynced import write_lost
    from activelabel.project.opening import plan_project
    from activelabel.project.settings import setting_pairs

    pairs = setting_pairs(conf or [])
    existing_ledger(str(APP_FOLDER), studies, pairs).check()
    project = plan_project(str(APP_FOLDER), studies, pairs)
    write_lost(project.ledger, project.labels_folder)
    checks = checks_of(project)
    found = [problem for check_file in track(checks, "checking", console=errors) for problem in check_file()]
    for problem in found:
        typer.echo(problem)
    if found:
        typer.echo(f"{len(found)} of {len(checks)} files are not what they were")
        raise typer.Exit(1)
    typer.echo(f"{len(checks)} files are what they were when they were kept")
