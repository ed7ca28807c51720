"""`activelabel report` as it is typed: the page in a browser, the files beside it, and the refusals."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from made_up_experiment import make_experiment
from ohif_page import CHROMIUM, OPTIONS, PATIENCE_MS
from playwright.sync_api import Browser, Page, sync_playwright
from recorded import record_annotation

from activelabel.cli.main import main
from activelabel.project.opening import open_project
from activelabel.store.cases.new_annotation import Compared
from activelabel.store.records.labels import SECOND
from activelabel.store.records.reviews import Agreement

CURVES = {"random": lambda number: 0.9 - 0.4 / (number + 1), "variance": lambda number: 0.92 - 0.42 / (number + 1)}


def activelabel(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run the command in this process: a new one takes seconds to import everything."""
    monkeypatch.setattr(sys, "argv", ["activelabel", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, 2)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an experiment, with a model and images."""
    folder = tmp_path_factory.mktemp("report")
    options = {"rounds": 3, "cases": 4, "rounds_done": {("random", 3): 3}, "with_images": True}
    experiment = make_experiment(folder / "experiment", CURVES, **options)
    (experiment / "runs" / "random" / "3" / "nothing_left.txt").touch()
    with pytest.MonkeyPatch.context() as monkeypatch:
        activelabel(monkeypatch, "report", experiment, "--out", folder / "report.html")
    return folder / "report.html"


def project_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    settings = ["--conf", "labels=liver", "--conf", f"project_dir={tmp_path / 'project'}"]
    activelabel(monkeypatch, "report", "--studies", tmp_path, *settings, "--out", tmp_path / "report.html")
    return (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS, timeout=PATIENCE_MS)
        yield browser
        browser.close()


def opened(browser: Browser, file: Path, width: int) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: asked.append(str(error)))
    page.goto(file.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    return page


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_every_screen_and_loads_nothing_from_the_network(
    browser: Browser, written: Path, width: int
) -> None:
    page = opened(browser, written, width)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for tab in page.locator(".tabs > label").all():
        tab.click()
        assert page.evaluate(overflow) == 0
    pictures = page.locator("img").all()
    assert len(pictures) == 4 * 4 + 3  # Curves, matrix, forecast and structures of each effort, and three queries.
    for picture in pictures:
        assert len(picture.get_attribute("alt") or "") > 20
        assert picture.evaluate("image => image.complete && image.naturalWidth > 0")


def test_one_tab_is_seen_at_a_time(browser: Browser, written: Path) -> None:
    page = opened(browser, written, 1280)
    assert page.locator("#curves_volumes").is_visible()
    assert not page.locator("#curves_boundary_mm").is_visible()
    page.get_by_text("by contour length").click()
    assert not page.locator("#curves_volumes").is_visible()
    assert page.locator("#curves_boundary_mm").is_visible()
    page.get_by_text("Hausdorff distance (mm)", exact=True).click()
    assert page.locator("#worst_hausdorff_distance").is_visible()
    assert page.locator("#curves_boundary_mm").is_visible()


def test_the_page_begins_with_the_answer(browser: Browser, written: Path) -> None:
    summary = opened(browser, written, 1280).locator(".summary").inner_text()
    assert "variance came first: between 2 and 6 volumes opened" in summary
    assert "random, seed 3: 3 of 4 rounds" in summary


def test_every_p_stands_beside_its_n(written: Path) -> None:
    tables = list((written.parent / "report_files").glob("*.csv"))
    with_p = [table for table in map(pd.read_csv, tables) if any(column.split()[0] == "p" for column in table)]
    assert len(with_p) == 4 * 2 + 4  # Two lists of tests an effort, and the worst cases by each metric.
    for table in with_p:
        assert any(column.split()[0] == "n" for column in table)


def test_numbers_beside_the_page_are_those_of_the_experiment(written: Path) -> None:
    files = written.parent / "report_files"
    curve = pd.read_csv(files / "curves_slices.csv").query("arm == 'variance'")
    assert list(curve["effort"]) == [20, 40, 60, 80]
    assert list(curve["mean"]) == pytest.approx([0.92 - 0.42 / count + 0.00015 for count in (1, 2, 3, 4)])
    costs = pd.read_csv(files / "costs.csv").set_index("strategy")
    assert costs.loc["variance", ["n (runs)", "slices", "foreground slices"]].to_list() == [4, 80, 32]
    assert costs.loc["variance", "effort units"] == pytest.approx(32 / 3)
    assert costs.loc["random", "slices"] == pytest.approx((3 * 80 + 60) / 4)
    assert costs.loc["variance", "training (min)"] == 4
    worst = pd.read_csv(files / "worst_dice.csv").set_index("strategy")
    assert worst.loc["variance", "difference"] == pytest.approx(0.92 - 0.9 - 0.02 / 4, abs=0.02)
    assert worst.loc["variance", "n (seeds)"] == 4


def test_a_missing_model_file_is_one_line_on_the_page(
    written: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    experiment = make_experiment(tmp_path / "experiment", {"variance": CURVES["variance"]}, seeds=1, rounds=1)
    activelabel(monkeypatch, "report", experiment, "--out", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Round 1, pool_2: no picture, as model model.safetensors: there is no such file" in text


def test_a_running_project_can_be_reported_before_its_first_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_project("", str(tmp_path), {"labels": "liver", "project_dir": str(tmp_path / "project")})
    project.ledger.sync_images(["a", "b", "c", "d"], 1)
    text = project_page(tmp_path, monkeypatch)
    assert "0 of 4 volumes are annotated wholly" in text
    assert "It is too early for a forecast: no model has been judged yet." in text


def test_a_running_project_is_reported_with_its_curve_costs_and_uncertainties(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_project("", str(tmp_path), {"labels": "liver", "project_dir": str(tmp_path / "project")})
    ledger = project.ledger
    ledger.sync_images("abcdefgh", 0)
    made = []
    for count, image_id in enumerate("abcdef", start=1):
        ledger.fix_slices(image_id, 2, (5, 5, 10))
        made.append(record_annotation(ledger, image_id, "f", "0", "ann", foreground_slices=4).id)
        if count > 1:
            ledger.publish_model("m", "0", "quick", ["liver"], {"dice": 0.9 - 0.4 / count}, made)
    ledger.record_uncertainty_check(made[-1], 4, "variance", 0.25, wrong_voxels=10, voxels=100)
    text = project_page(tmp_path, monkeypatch)
    assert "6 of 8 volumes are annotated wholly, 0 in part: 60 slices, with something drawn on 24." in text
    assert "Model 5 is in use: the newest; no validation case says how good it is." in text
    assert "The next 2 volumes would bring about" in text
    files = tmp_path / "report_files"
    assert list(pd.read_csv(files / "learning_curve.csv")["volumes"]) == [2, 3, 4, 5, 6]
    assert pd.read_csv(files / "costs.csv")["effort units"].item() == pytest.approx(6 * 4 / 3)
    assert pd.read_csv(files / "worth_of_uncertainty.csv")["correlation"].item() == 0.25


def test_a_project_that_two_annotators_read_is_reported_with_their_agreement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_project("", str(tmp_path), {"labels": "liver,tumour", "project_dir": str(tmp_path / "project")})
    ledger = project.ledger
    ledger.sync_images("ab", 0)
    first = record_annotation(ledger, "a", "f", "0", "ann")
    compared = Compared(first.id, {"liver": Agreement(0.9, 1.5), "tumour": Agreement(0.0, None)}, agrees=False)
    record_annotation(ledger, "a", "g", "0", "bob", tag=SECOND, compared=compared)
    settings = ["--conf", "labels=liver,tumour", "--conf", f"project_dir={tmp_path / 'project'}"]
    activelabel(monkeypatch, "report", "--studies", tmp_path, *settings, "--out", tmp_path / "report.html")
    assert "Two readings agree from a Dice of 0.8" in (tmp_path / "report.html").read_text(encoding="utf-8")
    table = pd.read_csv(tmp_path / "report_files" / "readings.csv")
    assert table[["case", "structure", "first", "second", "Dice"]].to_numpy().tolist() == [
        ["a", "liver", "ann", "bob", 0.9], ["a", "tumour", "ann", "bob", 0.0],
    ]  # fmt: skip
    assert table["distance (mm)"].tolist()[0] == 1.5
    assert pd.isna(table["distance (mm)"].tolist()[1])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "expected folders of experiments, or --studies of a project, got both or neither: give one"),
        (["nowhere"], "nowhere: expected the folder of an experiment, got one without experiment.json"),
        (["nowhere", "--studies", "nowhere"], "got both or neither"),
        (["nowhere", "--conf", "seed=1"], "--conf seed=1: only a project has settings to give"),
        (["--studies", ".", "--conf", "labels=liver"], "--studies .: expected a project in "),
        (["--studies", "nowhere", "--conf", "labels"], "--conf labels: expected a value"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    activelabel(monkeypatch, "report", *arguments)
    line = capfd.readouterr().err.strip()
    assert expected in line
    assert len(line.splitlines()) == 1
    assert not (tmp_path / "report.html").exists()
