"""The content of a page and the files beside it, read as a browser and a spreadsheet read them."""

import base64
import html.parser
import math
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from activelabel.errors import InvalidInputError
from activelabel.report.page import Folded, Page, Picture, Section, Table, Text, shown, write_page


class Read(html.parser.HTMLParser):
    """The cells, the sources of pictures and the words of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.sources: list[str] = []
        self.words = ""
        self._tags: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        if tag == "img":
            self.sources.append(dict(attrs)["src"] or "")

    def handle_data(self, data: str) -> None:
        if self._tags and self._tags[-1] in ("td", "th"):
            self.cells[-1] += data.strip()
        self.words += data


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (0.81234, "AUBC", "0.812"),
        (12.34, "slices", "12.3"),
        (-12345.6, "voxels", "-12,346"),
        (7, "n", "7"),
        ("random", "strategy", "random"),
        (math.nan, "AUBC", "–"),
        (None, "to", "–"),
        (math.inf, "mean", "infinite"),
        (0.0004, "p (Holm)", "< 0.001"),
        (0.0004, "p", "< 0.001"),
        (0.04999, "p (Wilcoxon)", "0.050"),
        (0.0004, "patients", "0.000"),
    ],
)
def test_a_cell_is_shown_with_as_many_digits_as_are_read(value: object, column: str, text: str) -> None:
    assert shown(value, column) == text


def figure() -> Figure:
    drawn = Figure(figsize=(1, 1))
    drawn.subplots().plot([1, 2])
    return drawn


def page() -> Page:
    table = Table("numbers", "Numbers of `a<b`", pd.DataFrame({"arm": ["a<b"], "dice": [0.123456]}), "A note.")
    picture = Picture("curve", "A curve", figure(), "two points", data=pd.DataFrame({"x": [1, 2]}))
    tabs = [("one", [picture]), ("two", [Text("Second."), Folded("More", "x < y")])]
    return Page("A & B", ["`a` won <b>."], [Section("First", [table]), Section("Second", tabs=tabs)])


def test_a_page_is_self_contained_and_each_figure_and_table_is_also_a_file_beside_it(tmp_path: Path) -> None:
    folder = write_page(page(), tmp_path / "out.html")
    assert folder == tmp_path / "out_files"
    assert sorted(path.name for path in folder.iterdir()) == ["curve.csv", "curve.png", "numbers.csv"]
    assert (folder / "numbers.csv").read_text(encoding="utf-8") == "arm,dice\na<b,0.123456\n"
    read = Read(tmp_path / "out.html")
    assert read.cells == ["arm", "dice", "a<b", "0.123"]
    (source,) = read.sources
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == (folder / "curve.png").read_bytes()
    for words in ("A & B", "won <b>.", "Numbers of", "A note.", "Second.", "x < y", "out_files"):
        assert words in read.words


def test_names_are_set_off_and_what_looks_like_html_is_not(tmp_path: Path) -> None:
    write_page(page(), tmp_path / "out.html")
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<code>a</code> won &lt;b&gt;." in text
    assert "<code>a&lt;b</code>" in text
    assert "<b>." not in text


def test_a_page_can_be_written_again(tmp_path: Path) -> None:
    write_page(page(), tmp_path / "out.html")
    first = (tmp_path / "out.html").read_text(encoding="utf-8")
    write_page(page(), tmp_path / "out.html")
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == first


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"--out .*out.pdf: expected a file that ends in .html"):
        write_page(page(), tmp_path / "out.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match=r"cannot be written \(Not a directory\)"):
        write_page(page(), tmp_path / "file" / "out.html")
