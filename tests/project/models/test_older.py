"""A project whose models are pickles is converted at its next start without loss, also if the server crashes."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_studies import TINY_RECIPE

from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.project.models import older as older_models
from activelabel.project.models.older import SET_ASIDE, convert_older_models
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.project.serving import open_served_project
from activelabel.store.records.models import ModelVersion

CONF = {"labels": "ball", "recipe": str(TINY_RECIPE), "device": "cpu"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return open_project("", str(tmp_path), CONF)


def publish_older(project: Project, name: str = "quick-1.pt") -> ModelVersion:
    """Publish a model as earlier versions did."""
    description = project.model_description
    weights = build_network(description.network, description.classes).state_dict()
    project.models_folder.mkdir(exist_ok=True)
    file = project.models_folder / name
    older_description = description.model_dump(mode="json")
    torch.save({"format": "activelabel model 1", "description": older_description, "weights": weights}, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return project.ledger.publish_model(name, sha256, "quick", project.labels, {"dice": 0.5}, [])


def assert_converted(project: Project, before: ModelVersion) -> None:
    """Check that only the model's file has changed, that it is used as before, and that the earlier file is kept."""
    after = project.ledger.model(before.version)
    assert after.file == before.file.replace(".pt", ".safetensors")
    assert {**vars(after), "file": "", "sha256": ""} == {**vars(before), "file": "", "sha256": ""}
    folder = project.models_folder
    older = torch.load(folder / SET_ASIDE / before.file, weights_only=True)["weights"]
    loaded = project.network(after).state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in older.items())
    assert not list(folder.glob("*.pt"))
    assert hashlib.sha256((folder / SET_ASIDE / before.file).read_bytes()).hexdigest() == before.sha256


def test_a_server_converts_older_models_at_its_start(project: Project, tmp_path: Path) -> None:
    before = [publish_older(project, f"quick-{number}.pt") for number in range(2)]
    project.ledger.withdraw_model(1)
    before = [project.ledger.model(model.version) for model in before]
    project.ledger.close()

    served = open_served_project("", str(tmp_path), CONF, 8000)

    for model in before:
        assert_converted(served, model)
    assert served.current_model().version == 2


@pytest.mark.parametrize("place", ["_write_once", "_set_aside"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_conversion_that_crashed_is_completed_at_the_next_start(
    project: Project, monkeypatch: pytest.MonkeyPatch, place: str, when: str
) -> None:
    model = publish_older(project)
    whole: Callable[..., None] = getattr(older_models, place)

    def killed(*arguments: object) -> None:
        if when == "after":
            whole(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(older_models, place, killed)
        with pytest.raises(KeyboardInterrupt):
            convert_older_models(project)

    convert_older_models(project)
    assert_converted(project, model)


def test_a_conversion_that_crashed_after_the_ledger_is_completed_at_the_next_start(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = publish_older(project, "a.pt"), publish_older(project, "b.pt")
    rename = project.ledger.rename_model_file

    def killed(version: int, *arguments: str) -> None:
        if version == 2:
            raise KeyboardInterrupt
        rename(version, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(type(project.ledger), "rename_model_file", lambda _, *arguments: killed(*arguments))
        with pytest.raises(KeyboardInterrupt):
            convert_older_models(project)

    convert_older_models(project)
    assert_converted(project, first)
    assert_converted(project, second)


def test_a_ledger_that_was_put_back_finds_its_models_again(project: Project) -> None:
    model = publish_older(project)
    convert_older_models(project)
    converted = project.ledger.model(1)
    # A copy of the ledger of before the conversion names the earlier file.
    project.ledger.rename_model_file(1, converted.file, model.file, model.sha256)

    convert_older_models(project)

    assert_converted(project, model)
    assert project.ledger.model(1) == converted


def test_a_model_that_was_changed_stays_and_is_named(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    publish_older(project, "changed.pt"), publish_older(project, "gone.pt")
    good = publish_older(project, "good.pt")
    (project.models_folder / "changed.pt").write_bytes((project.models_folder / "good.pt").read_bytes())
    (project.models_folder / "gone.pt").unlink()

    with caplog.at_level(logging.WARNING):
        convert_older_models(project)

    assert "model 1 cannot be used any more: model changed.pt: the file is not the one" in caplog.text
    assert "model 2 cannot be used any more: model gone.pt: there is no such file" in caplog.text
    assert (project.models_folder / "changed.pt").is_file()
    with pytest.raises(InvalidInputError, match=r"^model changed\.pt: [^\n]+$"):
        project.network(project.ledger.model(1))
    assert project.ledger.model(good.version).file == "good.safetensors"
