"""Models from before safetensors are read once, and no code in them runs."""

import hashlib
from pathlib import Path

import pytest
import torch

from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.recipes import NetworkSettings, PreprocessingSettings
from activelabel.training.checkpoints import ModelDescription, load_model, model_bytes
from activelabel.training.older_models import read_older_model

DESCRIPTION = ModelDescription(
    recipe="small",
    labels=("liver",),
    network=NetworkSettings(channels=(4, 8), strides=(2,)),
    preprocessing=PreprocessingSettings(),
)


def written(path: Path, content: object) -> str:
    """Write a model as earlier versions did, and return the SHA-256 of its file."""
    torch.save(content, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def older_content(weights: object) -> dict[str, object]:
    return {"format": "activelabel model 1", "description": DESCRIPTION.model_dump(mode="json"), "weights": weights}


def test_the_same_model_comes_out_and_always_the_same_file(tmp_path: Path) -> None:
    weights = build_network(DESCRIPTION.network, 2).state_dict()
    sha256 = written(tmp_path / "m.pt", older_content(weights))

    content = read_older_model(tmp_path / "m.pt", sha256)

    assert content == read_older_model(tmp_path / "m.pt", sha256) == model_bytes(weights, DESCRIPTION)
    (tmp_path / "m.safetensors").write_bytes(content)
    loaded = load_model(tmp_path / "m.safetensors", DESCRIPTION).state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in weights.items())


def test_a_description_of_before_there_were_two_ways_up_is_completed(tmp_path: Path) -> None:
    content = older_content(build_network(DESCRIPTION.network, 2).state_dict())
    del content["description"]["network"]["upsampling"]  # type: ignore[attr-defined]
    sha256 = written(tmp_path / "m.pt", content)

    (tmp_path / "m.safetensors").write_bytes(read_older_model(tmp_path / "m.pt", sha256))
    load_model(tmp_path / "m.safetensors", DESCRIPTION)


class Harmful:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.path), "w"))


def test_a_file_that_is_not_the_published_one_is_not_unpickled(tmp_path: Path) -> None:
    written(tmp_path / "m.pt", older_content({}))

    with pytest.raises(InvalidInputError, match=r"^model m\.pt: the file is not the one that was published"):
        read_older_model(tmp_path / "m.pt", "0" * 64)


@pytest.mark.parametrize("what", ["code", "no weights", "a list"])
def test_a_file_that_is_no_model_is_refused_and_no_code_in_it_runs(tmp_path: Path, what: str) -> None:
    contents = {"code": older_content(Harmful(tmp_path / "ran")), "no weights": older_content([1]), "a list": [1]}
    sha256 = written(tmp_path / "m.pt", contents[what])

    with pytest.raises(InvalidInputError, match=r"^model m\.pt: the file is no model of an earlier version"):
        read_older_model(tmp_path / "m.pt", sha256)
    assert not (tmp_path / "ran").exists()
