"""The command `activelabel start`: starts the server after some quick checks."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from activelabel.backports import ON_WINDOWS
from activelabel.cli.dicom_folder import images_to_serve
from activelabel.cli.options import CONF, Conf, StudiesAsGiven
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.names import APP_FOLDER, CHECKOUT_APP, HOST_APP_FOLDER, recipe_names

HERE = "127.0.0.1"
START_SERVER = ("-m", "activelabel.server.host_main", "start_server")


def start(
    studies: StudiesAsGiven,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Names of the structures, separated by commas, with their values if need be: liver=1+2,tumour=2. "
            "Default from a dataset.json or labels."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the server.")] = 8000,
    host: Annotated[
        str, typer.Option(help="The address to listen at: 127.0.0.1 for this machine only, 0.0.0.0 for others too.")
    ] = HERE,
    recipe: Annotated[
        str | None, typer.Option(help=f"{', '.join(recipe_names())}, or the path of a .toml file. Default quick.")
    ] = None,
    ssl_certfile: Annotated[
        Path | None, typer.Option("--ssl-certfile", "--ssl_certfile", help="A certificate, for https.")
    ] = None,
    ssl_keyfile: Annotated[
        Path | None, typer.Option("--ssl-keyfile", "--ssl_keyfile", help="The key of the certificate.")
    ] = None,
    ssl_ca_certs: Annotated[
        Path | None, typer.Option("--ssl-ca-certs", "--ssl_ca_certs", help="Certificates of authorities.")
    ] = None,
    conf: Conf = None,
) -> None:
    """Start the server: `monailabel start_server` with the app of this package.

    The server prints a message when it is ready. Ctrl-C stops it, and no saved work is lost.
    """
    from activelabel.cli.doctor.versions import unfit_version
    from activelabel.project.studies import reading_explained, require_answer
    from activelabel.server.port import require_free_port

    require_free_port(host, port)
    require_answer(studies)
    certificates = {"--ssl_certfile": ssl_certfile, "--ssl_keyfile": ssl_keyfile, "--ssl_ca_certs": ssl_ca_certs}
    settings = settings_of(conf or [], {"labels": labels, "recipe": recipe})
    if problem := unfit_version():
        raise NotReadyError(f"{problem}; `activelabel doctor` looks at the rest")
    if "recipe" in settings:
        from activelabel.recipes import load_recipe

        load_recipe(settings["recipe"])  # before the host begins, which says much until it comes to that
    with reading_explained(studies):
        _check(studies, certificates)
        studies = images_to_serve(studies, settings)
    app = prepare_app_folder(APP_FOLDER)
    places = [*("--app", str(app)), *("--studies", studies), *("--host", host), *("--port", str(port))]
    run(sys.executable, [*START_SERVER, *places, *_options(certificates, settings)])


def settings_of(conf: Sequence[str], options: Mapping[str, str | None]) -> dict[str, str]:
    """All settings, from `--conf` and from the options of single settings.

    Raises:
        InvalidInputError: a setting is unknown or wrong, or is given in both ways; the line says which.
    """
    from activelabel.project.settings import parse_settings, setting_pairs

    settings = setting_pairs(conf)
    given = {key: value for key, value in options.items() if value is not None}
    for key in given.keys() & settings.keys():
        raise InvalidInputError(f"--{key} and --conf {key}: both say the same: leave one out")
    settings |= given
    parse_settings(settings)
    return settings


def prepare_app_folder(folder: Path) -> Path:
    """Write the app of this package into its folder, and return the folder.

    Raises:
        InvalidInputError: the folder cannot be written.
    """
    from activelabel.data.files.writing import write_atomically

    if folder == CHECKOUT_APP:
        return folder  # its own `main.py` names the same class
    main, ours = folder / "main.py", HOST_APP_FOLDER / "main.py"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not main.is_file() or main.read_bytes() != ours.read_bytes():
            write_atomically(main, ours.read_bytes())
    except OSError as error:
        raise InvalidInputError(
            f"{folder}: the app's folder cannot be written ({error.strerror}): mend that, or name a folder for data "
            "with XDG_DATA_HOME in the environment"
        ) from error
    return folder


def run(program: str, arguments: Sequence[str]) -> None:
    """Replace this process by the program, so that signals and exit code are those of the server.

    Windows would start a process beside this one and end this one at once; there this process waits for it.
    """
    sys.stdout.flush()
    if ON_WINDOWS:
        raise SystemExit(subprocess.call([program, *arguments]))
    os.execv(program, [program, *arguments])


def _check(studies: str, certificates: Mapping[str, Path | None]) -> None:
    from activelabel.project.studies import is_pacs

    if not is_pacs(studies) and not Path(studies).is_dir():
        raise InvalidInputError(
            f"--studies {studies}: expected a folder with images, or the address of a PACS, got none of these"
        )
    for option, file in certificates.items():
        if file is not None and not file.is_file():
            raise InvalidInputError(f"{option} {file}: there is no such file: name the right one")
    if (certificates["--ssl_certfile"] is None) != (certificates["--ssl_keyfile"] is None):
        raise InvalidInputError("--ssl_certfile and --ssl_keyfile: one of them came alone: give both, or neither")


def _options(certificates: Mapping[str, Path | None], settings: Mapping[str, str]) -> Iterator[str]:
    for option, file in certificates.items():
        if file is not None:
            yield from (option, str(file))
    for key, value in settings.items():
        yield from (CONF, key, value)
