"""Options that most commands share, and both forms of `--conf`."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from activelabel.cli.dicom_folder import made_of

CONF = "--conf"

_STUDIES = "The folder with the images, or the DICOMweb address of a PACS."
StudiesAsGiven = Annotated[str, typer.Option("--studies", help=_STUDIES)]
Studies = Annotated[str, typer.Option(help=_STUDIES, callback=made_of)]
"""As given, or the images that a start has made of a folder of DICOM series."""
Conf = Annotated[
    list[str] | None,
    typer.Option(
        CONF, metavar="KEY VALUE", help="A setting of the server, also as KEY=VALUE; repeat the option for more."
    ),
]


class ConfGroup(TyperGroup):
    """A command group that accepts `--conf KEY VALUE`, as the host does, and `--conf KEY=VALUE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the two words of each setting before parsing, as an option of typer takes one."""
        return super().parse_args(ctx, list(joined_settings(args)))


def joined_settings(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments, with `--conf KEY VALUE` replaced by `--conf KEY=VALUE`.

    A key without a value stays alone, so that the parser of settings reports the missing value.
    """
    words = iter(arguments)
    for word in words:
        yield word
        if word == "--":
            yield from words
        if word == CONF and (key := next(words, None)) is not None:
            value = None if "=" in key else next(words, None)
            if value is None:
                yield key
            elif value.startswith("--"):
                yield key
                yield from joined_settings([value, *words])
            else:
                yield f"{key}={value}"
