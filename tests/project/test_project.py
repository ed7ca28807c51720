"""A project opened from its settings."""

import pickle
from pathlib import Path

import pytest

from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.project.folders import default_folder
from activelabel.project.opening import open_project


def test_the_values_in_force_are_the_recipes_where_the_settings_say_nothing(tmp_path: Path) -> None:
    project = open_project("app", str(tmp_path), {"recipe": "rahimi2022", "labels": "heart", "repeats": "9"})
    shown = project.settings_in_force()
    assert (shown["repeats"], shown["start"], shown["query_size"], shown["retrain_after"]) == (9, 11, 5, 5)
    assert project.recipe.prediction.repeats == 9
    assert shown["labels"] == ["heart"]
    assert shown["device"] in ("cpu", "cuda")
    assert shown["database_url"] == f"sqlite:///{tmp_path}/activelabel/ledger.sqlite"


def test_without_a_model_the_line_says_how_to_get_one(tmp_path: Path) -> None:
    project = open_project("app", str(tmp_path), {"labels": "heart"})
    with pytest.raises(NotReadyError, match="no model yet: the first takes 4 training cases, you have 0"):
        project.current_model()


def test_a_project_travels_to_other_processes(tmp_path: Path) -> None:
    project = open_project("app", str(tmp_path), {"labels": "heart"})
    copy = pickle.loads(pickle.dumps(project))
    copy.ledger.sync_images(["a"], 0)
    assert project.ledger.pool("training") == ["a"]


def test_a_missing_gpu_is_refused_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InvalidInputError, match="--conf device cuda: this machine has no CUDA GPU"):
        open_project("app", str(tmp_path), {"labels": "heart", "device": "cuda"})


@pytest.mark.parametrize(
    ("count", "device", "expected"),
    [
        (0, "cuda:0", "no CUDA GPU"),
        (1, "cuda:1", "1 CUDA GPU, numbered from 0"),
        (2, "cuda:7", "2 CUDA GPUs, numbered from 0"),
    ],
)
def test_a_gpu_number_too_high_is_refused_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, device: str, expected: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    with pytest.raises(InvalidInputError, match=f"--conf device {device}: this machine has {expected}"):
        open_project("app", str(tmp_path), {"labels": "heart", "device": device})


@pytest.mark.parametrize("place", ["studies", "project_dir"])
def test_a_file_in_place_of_the_project_folder_is_refused(tmp_path: Path, place: str) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    studies, conf = (file, {}) if place == "studies" else (tmp_path, {"project_dir": str(file)})
    with pytest.raises(InvalidInputError, match=r"the project folder .*file.* cannot be made"):
        open_project("app", str(studies), {"labels": "heart", **conf})


def test_each_pacs_has_a_folder_of_its_own_and_a_studies_folder_keeps_its_own() -> None:
    assert default_folder("/app", "/data/ct") == Path("/data/ct/activelabel")
    one, other = (default_folder("/app", f"http://pacs/{name}") for name in ("a", "b"))
    assert one != other
    assert one.parent == other.parent == Path("/app/model")
