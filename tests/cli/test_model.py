"""`activelabel model`: a model goes out as a bundle and comes into another project, in words and exit codes."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from training_study import TINY, Study

from activelabel.cli.main import main
from activelabel.networks import build_network
from activelabel.project.models.publishing import publish_model
from activelabel.project.opening import open_project

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["activelabel", "model", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capfd.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return call


def settings(study: Study, project: Path) -> list[object]:
    conf = ["--conf", "recipe", TINY, "--conf", "labels", "ball", "--conf", "device", "cpu"]
    return ["--studies", study.studies, *conf, "--conf", "project_dir", project]


def test_a_model_goes_out_as_a_bundle_and_into_another_project(annotated: Study, tmp_path: Path, run: Run) -> None:
    weights = build_network(annotated.project.recipe.network, 2).state_dict()
    publish_model(annotated.project, weights, {"dice": 0.5}, annotated.project.ledger.annotations())
    here = settings(annotated, annotated.project.folder)
    code, said = run("export", *here, "--out", tmp_path / "bundle", "--licence", "CC0-1.0")
    assert (code, said.splitlines()[0]) == (0, f"wrote {tmp_path / 'bundle'}")
    assert "python -m monai.bundle run" in said
    there = settings(annotated, tmp_path / "elsewhere")
    code, said = run("import", tmp_path / "bundle", *there)
    assert code == 0
    assert said.splitlines()[-1].startswith("it is a whole model of this project: --use")
    code, said = run("import", tmp_path / "bundle", *there, "--use")
    assert code == 0
    assert "Model 1 is in use" in said
    conf = {"recipe": str(TINY), "labels": "ball", "device": "cpu", "project_dir": str(tmp_path / "elsewhere")}
    project = open_project("app", str(annotated.studies), conf)
    imported = project.network(project.current_model()).state_dict()
    assert all(torch.equal(imported[name], values) for name, values in weights.items())
    code, said = run("import", "--forget", *there)
    assert (code, said.splitlines()[-1]) == (0, "trainings begin without imported weights from now on")


def test_what_is_wrong_is_one_line_and_exit_code_2(annotated: Study, tmp_path: Path, run: Run) -> None:
    here = settings(annotated, annotated.project.folder)
    (tmp_path / "text.pt").write_text("no weights")
    for arguments, expected in (
        (("export", *here, "--out", tmp_path / "bundle"), "no model yet"),
        (("export", *settings(annotated, tmp_path / "nowhere"), "--out", tmp_path / "bundle"), "expected a project in"),
        (("import", tmp_path / "text.pt", *here), "text.pt: cannot be read as plain weights"),
        (("import", *here), "expected a FILE, or --forget alone"),
    ):
        code, said = run(*arguments)
        assert code == 2
        assert expected in said.splitlines()[-1]
