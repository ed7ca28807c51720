"""Hostile names in every output that people read: a page, a spreadsheet, a figure, a log."""

import csv
import io
import logging
from pathlib import Path

import pandas as pd
import pytest
from hostile_names import HOSTILE, ISOLATE, RTL
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from activelabel.analysis.harmless_text import no_formula, printed, safe_for_spreadsheets, visible
from activelabel.errors import InvalidInputError
from activelabel.prediction.pictures import take_texts_literally
from activelabel.prediction.score_table import ScoreTable
from activelabel.project.labels.names import resolve_label_names
from activelabel.project.log_file import keep_log, last_lines
from activelabel.report.page import Folded, Page, Picture, Section, Table, Text, write_page


def figure_of(name: str) -> Figure:
    figure = Figure()
    panel = figure.subplots()
    panel.plot([1, 2], [1, 2], label=name)
    panel.set_title(name)
    panel.set_xticks([1, 2], labels=[name, "b"])
    panel.legend()
    figure.suptitle(name)
    return figure


def page_with(name: str) -> Page:
    table = pd.DataFrame({"case": [name], name or "x": [0.5]})
    blocks = [
        Text(f"{name} was asked for by {name}."),
        Table("cases", f"All of {name}", table, note=name),
        Folded(name, f'{{"labels": "{name}"}}'),
        Picture("curve", name, figure_of(name), alt=name, note=name, data=table),
    ]
    return Page(title=name, summary=[name], sections=[Section(name, blocks)])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_report_shows_a_hostile_name_and_does_nothing_else(name: str, tmp_path: Path) -> None:
    folder = write_page(page_with(name), tmp_path / "out.html")
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    plain = tmp_path / "plain.html"
    write_page(page_with("liver"), plain)
    for tag in ("<script", "<img", "<b>", "<title", "<style", "<pre", "onerror=alert(1)>", "onmouseover=alert(1) x='"):
        assert text.count(tag) == plain.read_text(encoding="utf-8").count(tag), tag
    assert not any(hidden in text for hidden in (RTL, ISOLATE, "\u200b", "\ufeff", "\x1b", "\x00"))
    assert "49" not in text.partition("<main>")[2].partition("data:image")[0] or "7 * 7" in text
    for file in ("cases.csv", "curve.csv"):
        for row in csv.reader(io.StringIO((folder / file).read_text(encoding="utf-8"))):
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_begins_no_line_of_a_log(name: str, tmp_path: Path) -> None:
    root = logging.getLogger()
    before = {
        logger: list(logging.getLogger(logger).handlers)
        for logger in ("", "task_train", "task_scoring", "task_batch_infer")
    }
    try:
        keep_log(tmp_path / "server.log")
        logging.getLogger("activelabel.test").error("%s was set aside", name)
        for handler in root.handlers:
            handler.flush()
        lines = (tmp_path / "server.log").read_bytes().decode().split("\n")
    finally:
        for logger, handlers in before.items():
            logging.getLogger(logger).handlers[:] = handlers
    assert last_lines(tmp_path / "server.log", 1000)
    assert [line for line in lines if line and not line.startswith(("[", "    "))] == []
    assert len([line for line in lines if line.startswith("[")]) == 1
    assert not any(hidden in "".join(lines) for hidden in (RTL, "\x1b", "\x00", "\r"))


def test_a_table_of_scores_holds_no_formula(tmp_path: Path) -> None:
    table = ScoreTable(tmp_path / "scores.csv", {})
    table.add_problem("=cmd|' /C calc'!A0.nii.gz", "cannot be read")
    table.finish()
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()[1].startswith("'=cmd")


@pytest.mark.parametrize("name", [f"liver{RTL}", "li\nver", "\x1b[31mliver", "\u200b"])
def test_a_label_name_that_cannot_be_shown_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="characters that cannot be shown"):
        resolve_label_names((name, "spleen"), str(tmp_path))


@given(st.text())
def test_visible_text_has_nothing_hidden_and_plain_text_stays(text: str) -> None:
    shown = visible(text)
    assert all(character.isprintable() or character.isspace() for character in shown)
    assert visible(shown) == shown
    if text.isascii() and text.isprintable():
        assert shown == text


def test_names_by_hand() -> None:
    assert visible(f"a{RTL}b\x1b\t\n") == "a\\u202eb\\x1b\t\n"
    assert visible("Größe 肝臓 🫀") == "Größe 肝臓 🫀"
    assert printed(7) == 7
    table = safe_for_spreadsheets(pd.DataFrame({"=a": ["=1", "b"], "n": [-1, 2.5]}))
    assert table.to_csv(index=False) == "'=a,n\n'=1,-1.0\nb,2.5\n"
    assert no_formula("=a\x00b") == "'=a\\x00b", "Python before 3.11 writes no table with a NUL"


def test_powers_of_ten_stay_formulas() -> None:
    figure = figure_of("$x_$")
    figure.axes[0].set_yscale("log")
    take_texts_literally(figure)
    assert all(label.get_parse_math() for label in figure.axes[0].yaxis.get_ticklabels(which="both"))
    assert not figure.axes[0].title.get_parse_math()
