"""A self-contained page of HTML, and a folder beside it with a PNG of each figure and a CSV of each table."""

import base64
import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pandas.api.types import is_numeric_dtype

from activelabel.analysis.harmless_text import no_formula, printed, visible
from activelabel.data.files.writing import write_atomically
from activelabel.errors import InvalidInputError
from activelabel.prediction.pictures import take_texts_literally
from activelabel.report.png import png_of

_DPI = 150
_SMALLEST_P = 0.001


@dataclass(frozen=True)
class Table:
    """Rows of numbers, shown to three digits; the CSV has all digits. `name` is the name of the CSV."""

    name: str
    title: str
    frame: pd.DataFrame
    note: str = ""
    kind: str = "table"

    @property
    def cells(self) -> Iterator[list[tuple[str, bool]]]:
        """The rows as they are shown; each cell with whether it holds words."""
        counts = [_holds_counts(self.frame[column]) for column in self.frame.columns]
        for row in self.frame.itertuples(index=False):
            yield [
                (f"{value:,.0f}" if count and not pd.isna(value) else shown(value, str(column)), isinstance(value, str))
                for column, value, count in zip(self.frame.columns, row, counts, strict=True)
            ]

    @property
    def heads(self) -> list[tuple[str, bool]]:
        """The names of the columns, each with whether it holds words."""
        return [(str(column), not is_numeric_dtype(self.frame[column])) for column in self.frame.columns]


@dataclass(frozen=True)
class Picture:
    """A figure, a text alternative for readers who cannot see it, and the numbers that it draws, if any."""

    name: str
    title: str
    figure: Figure
    alt: str
    note: str = ""
    data: pd.DataFrame | None = None
    kind: str = "picture"

    @property
    def png(self) -> bytes:
        """The bytes of the figure as a PNG."""
        take_texts_literally(self.figure)
        self.figure.set_dpi(_DPI)
        self.figure.set_facecolor("white")
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()  # `savefig` would draw everything twice
        return png_of(np.asarray(canvas.buffer_rgba())[..., :3], _DPI)


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Folded:
    """Preformatted text that is folded until the reader opens it."""

    title: str
    text: str
    kind: str = "folded"


Block = Table | Picture | Text | Folded


@dataclass(frozen=True)
class Section:
    """A heading with its blocks; `tabs`, by title, are shown one at a time."""

    title: str
    blocks: Sequence[Block] = ()
    tabs: Sequence[tuple[str, Sequence[Block]]] = ()


@dataclass(frozen=True)
class Page:
    """A title, a summary in a few sentences, and the sections."""

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]


def write_page(page: Page, out: Path) -> Path:
    """Write the page at `out`, and its figures and tables into the folder `NAME_files` beside it; return that folder.

    Raises:
        InvalidInputError: `out` does not end in .html, or cannot be written.
    """
    if out.suffix != ".html":
        raise InvalidInputError(f"--out {out}: expected a file that ends in .html")
    folder = out.with_name(f"{out.stem}_files")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = dict(_write_files(page, folder))
        write_atomically(out, _html(page, pictures, folder.name).encode())
    except OSError as error:
        raise InvalidInputError(f"--out {out}: cannot be written ({error.strerror}): name another place") from error
    return folder


def shown(value: object, column: str) -> str:
    """The text of a cell: numbers to three digits, tiny p-values as "<" a limit, missing values as a dash."""
    if not isinstance(value, float):
        return "–" if value is None else str(value)
    if math.isnan(value):
        return "–"
    if _is_p(column):
        return f"< {_SMALLEST_P}" if value < _SMALLEST_P else f"{value:.3f}"
    if math.isinf(value):
        return "infinite"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _is_p(column: str) -> bool:
    return column.split()[0] == "p"


def _holds_counts(column: "pd.Series[Any]") -> bool:
    """Whether all numbers of a column are whole; means of counts are among them."""
    if not is_numeric_dtype(column) or _is_p(str(column.name)):
        return False
    known = column.dropna()
    return bool(len(known)) and bool((known % 1 == 0).all())


def marked_up(text: str) -> Markup:
    """HTML of a sentence, with names between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(visible(text)))))


def _write_files(page: Page, folder: Path) -> Iterator[tuple[str, str]]:
    """Write all files of a page; return the data URI of each figure by its name."""
    for section in page.sections:
        for block in [*section.blocks, *(block for _, blocks in section.tabs for block in blocks)]:
            if isinstance(block, Table):
                _write_csv(block.frame, folder / f"{block.name}.csv")
            elif isinstance(block, Picture):
                png = block.png
                write_atomically(folder / f"{block.name}.png", png)
                if block.data is not None:
                    _write_csv(block.data, folder / f"{block.name}.csv")
                yield block.name, f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _write_csv(frame: pd.DataFrame, file: Path) -> None:
    """Write a table; `to_csv` of pandas writes the same, in several times as long."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([no_formula(name) for name in frame.columns])
    for row in zip(*(frame[name].tolist() for name in frame.columns), strict=True):
        lines.writerow(["" if pd.isna(cell) else no_formula(cell) for cell in row])
    write_atomically(file, text.getvalue().encode())


def _html(page: Page, pictures: dict[str, str], files: str) -> str:
    environment = Environment(
        loader=PackageLoader("activelabel.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=printed,
    )  # fmt: skip
    environment.filters |= {"marked_up": marked_up}
    return environment.get_template("page.html").render(page=page, pictures=pictures, files=files)
