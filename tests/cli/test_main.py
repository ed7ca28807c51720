"""The command as a user types it: the files that it writes, and its lines about wrong input."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
import typer
from typer.testing import CliRunner

import activelabel as activelabel_package
from activelabel.cli import main as main_module
from activelabel.cli.consoles import console
from activelabel.cli.main import app, main
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import load_recipe
from activelabel.training.checkpoints import ModelDescription, open_model, save_model

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with random weights."""
    recipe = load_recipe(str(TINY))
    torch.manual_seed(0)
    network = build_network(recipe.network, classes=2)
    description = ModelDescription(
        recipe=recipe.name, labels=("ball",), network=recipe.network, preprocessing=recipe.preprocessing
    )
    save_model(tmp_path / "model.safetensors", network.state_dict(), description)
    return tmp_path / "model.safetensors"


def activelabel(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from activelabel.cli.main import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)


def test_ctrl_c_in_a_command_is_one_line_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted = typer.Typer()

    @interrupted.command()
    def wait() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("activelabel.cli.main.app", interrupted)
    monkeypatch.setattr("sys.argv", ["activelabel"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err.strip()) == (130, "stopped")


def test_score_writes_table_maps_and_pictures(blobs: Callable[[int], Any], model: Path, tmp_path: Path) -> None:
    studies = blobs(2).studies
    places = {"--out": tmp_path / "s.parquet", "--maps": tmp_path / "maps", "--pictures": tmp_path / "pictures"}
    done = activelabel(
        "score", "--images", studies, "--model", model, "--recipe", TINY, "--measure", "entropy",
        *(part for pair in places.items() for part in pair),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = pd.read_parquet(tmp_path / "s.parquet")
    assert set(rows.measure) == {"entropy"}
    assert set(rows.region) == {"everything", "target", "boundary", "dilated_foreground", "object"}
    map = nibabel.load(tmp_path / "maps" / "blob_00_entropy.nii.gz")
    image = nibabel.load(studies / "blob_00.nii.gz")
    assert map.shape == image.shape
    np.testing.assert_allclose(map.affine, image.affine)
    total = rows.query("image == 'blob_00.nii.gz' and region == 'everything' and aggregation == 'total'").value.item()
    assert map.get_fdata().sum() == pytest.approx(total, rel=1e-4)
    assert (tmp_path / "pictures" / "blob_01_entropy.png").read_bytes().startswith(b"\x89PNG")


def test_a_race_leaves_a_table_with_the_repeats_of_each_image(
    blobs: Callable[[int], Any],
    model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = (
        "--images", blobs(4).studies, "--model", model, "--recipe", TINY, "--out", tmp_path / "s.csv",
        "--measure", "entropy", "--region", "everything", "--aggregation", "mean", "--top", 1, "--repeats", 6,
    )  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["activelabel", "score", *map(str, options)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    rows = pd.read_csv(tmp_path / "s.csv")
    assert sorted(rows.repeats) == [2, 2, 6, 6]
    assert set(rows.aggregation) == {"mean"}
    assert rows.nlargest(1, ["repeats", "value"]).image.item().removesuffix(".nii.gz") in capfd.readouterr().out
    assert [path.name for path in tmp_path.glob("s.csv*")] == ["s.csv"]


def refused(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """Return the command's line about wrong input. It runs in this process, as a new one takes seconds to import."""
    monkeypatch.setattr(sys, "argv", ["activelabel", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capfd.readouterr().err.strip()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"--images": "nowhere"}, "there is no such folder"),
        ({"--images": "nowhere", "--model": "nothing.safetensors"}, "--images nowhere: there is no such folder"),
        ({"--model": "nothing.safetensors"}, "there is no such file"),
        ({"--measure": "doubt"}, "--measure doubt: use one of variance, entropy"),
        ({"--region": "liver"}, "--region liver: use one of everything, target"),
        ({"--recipe": "quik"}, "recipe 'quik' does not exist: use one of "),
        ({"--precision": "half"}, "--precision half: use one of auto"),
        ({"--aggregation": "median"}, "--aggregation median: use one of total, mean"),
        ({"--top": 3}, "--top: a race goes by one score, so give --measure once: variance, entropy"),
        (
            {"--measure": "variance", "--repeats": 0},
            "0 everywhere with --repeats 0; ask for 2 or more",
        ),
        (
            {"--top": 1, "--measure": "entropy", "--region": "target", "--aggregation": "mean", "--repeats": 0},
            "--top: with --repeats 0 each image has a single pass",
        ),
        ({"--out": "s.xlsx"}, "expected a file that ends in .csv or .parquet"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    blobs: Callable[[int], Any],
    model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, object],
    expected: str,
) -> None:
    options = {"--images": blobs(1).studies, "--model": model, "--recipe": TINY, "--out": tmp_path / "s.csv", **changed}
    line = refused(capfd, monkeypatch, "score", *(part for pair in options.items() for part in pair))
    assert expected in line
    assert len(line.splitlines()) == 1
    assert not (tmp_path / "s.csv").exists()


def test_a_model_of_an_unknown_recipe_asks_for_its_file(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = refused(capfd, monkeypatch, "score", "--images", tmp_path, "--model", model, "--out", tmp_path / "s.csv")
    assert "give its file, --recipe PATH.toml" in line


def test_without_repeats_the_measures_of_a_single_pass_are_scored(
    blobs: Callable[[int], Any], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "s.csv"
    options = ("--images", blobs(1).studies, "--model", model, "--recipe", TINY, "--out", out, "--repeats", 0)
    monkeypatch.setattr(sys, "argv", ["activelabel", "score", *map(str, options)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    rows = pd.read_csv(out)
    assert set(rows.measure) == {"entropy", "least_confidence", "margin"}
    assert set(rows.repeats) == {0}


def test_score_has_the_windows_of_the_recipe(
    blobs: Callable[[int], Any], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The windows have their margin, as the server's have, so that both ask for the same slices."""
    studies, recipe, out = blobs(1).studies, tmp_path / "mine.toml", tmp_path / "s.csv"
    recipe.write_text(
        TINY.read_text(encoding="utf-8").replace("[prediction]", "[prediction]\nwindow_margin = [3, 4, 5]")
    )
    only = ("--measure", "entropy", "--region", "everything", "--aggregation", "total", "--repeats", 0)
    options = ("--images", studies, "--model", model, "--recipe", recipe, "--out", out, "--precision", "float32", *only)
    monkeypatch.setattr(sys, "argv", ["activelabel", "score", *map(str, options)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0

    network, description = open_model(model)
    image = prepare_image(read_volume(studies / "blob_00.nii.gz"), description.preprocessing).tensor
    windows = load_recipe(str(recipe)).prediction
    totals = []
    for margin in ((3, 4, 5), (0, 0, 0)):
        predictor = Predictor(
            network, windows.window_size, windows.window_overlap, "cpu", "float32", windows.skip_outside_body, margin
        )
        totals.append(float(predictor.sample(image, 0, 0).entropy().sum()))
    assert pd.read_csv(out).value.item() == pytest.approx(totals[0], rel=1e-5)
    assert totals[0] != pytest.approx(totals[1], rel=1e-4)


def test_a_name_that_looks_like_markup_or_hides_characters_is_printed_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_width", 200)
    for name in ("a[red].nii.gz", "b\x1b[31m.nii.gz", "c\nd.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    printed = CliRunner().invoke(app, ["doctor", "--studies", str(tmp_path), "--conf", "labels=ball"]).stdout
    assert "a[red].nii.gz: the file is empty" in printed
    assert "b\\x1b[31m.nii.gz" in printed
    assert "c\\x0ad.nii.gz" in printed
    assert "\x1b[31m" not in printed


def test_version_option_prints_the_version() -> None:
    assert activelabel("--version").stdout == f"activelabel {activelabel_package.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nonsense"], "activelabel: No such command 'nonsense'. (activelabel --help says more)"),
        (["doctor"], "activelabel doctor: Missing option '--studies'. (activelabel doctor --help says more)"),
        (
            ["user", "list"],
            "activelabel user list: Missing option '--studies'. (activelabel user list --help says more)",
        ),
        (["work", "--nothing"], "activelabel work: No such option: --nothing (activelabel work --help says more)"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], line: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(capfd, monkeypatch, *arguments) == line


def test_the_command_alone_shows_its_help(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["activelabel"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "Usage: activelabel" in "".join(capfd.readouterr())


def test_a_disk_that_is_full_is_one_line_and_exit_code_2(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "out/a.nii.gz")

    monkeypatch.setattr(main_module, "app", write)
    assert refused(capfd, monkeypatch) == (
        "out/a.nii.gz: it cannot be read or written (No space left on device): free some room or allow it, and try "
        "again"
    )


@pytest.mark.parametrize(
    ("words", "command"),
    [(["simulate", "--images"], "activelabel simulate"), (["model", "export", "--out"], "activelabel model export")],
)
def test_an_option_without_its_value_points_to_the_help_of_its_command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], command: str
) -> None:
    line = refused(capfd, monkeypatch, *words)
    assert line.startswith(f"{command}: ")
    assert line.endswith(f"({command} --help says more)")


@pytest.mark.parametrize(
    "words", [["models"], ["model", "export", "--out", "x"], ["export", "--out", "x"], ["check"], ["report"]]
)
@pytest.mark.parametrize("conf", [[], ["--conf", "labels", "ball"]])
def test_a_folder_that_is_not_there_is_said_to_be_so(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], conf: list[str]
) -> None:
    line = refused(capfd, monkeypatch, *words, "--studies", "nowhere", *conf)
    assert line == "--studies nowhere: there is no such folder: mount it, or name another"
