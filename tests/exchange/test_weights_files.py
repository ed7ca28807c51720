"""Files of weights from elsewhere: read without running code, or refused in one line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from exported_models import MakeExported
from safetensors.torch import save_file

from activelabel.errors import InvalidInputError
from activelabel.exchange.bundle import write_bundle
from activelabel.exchange.weights_files import read_weights
from activelabel.training.checkpoints import save_model

WEIGHTS = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}


class Hostile:
    """Pickled, it makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "more": Hostile(tmp_path / "made")}, tmp_path / "hostile.pt")
    with pytest.raises(InvalidInputError, match="code in a file is not run") as refused:
        read_weights(tmp_path / "hostile.pt")
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("keys", [(), ("state_dict",), ("network_weights",), ("net", "state_dict")])
def test_weights_are_found_in_a_checkpoint(tmp_path: Path, keys: tuple[str, ...]) -> None:
    content: dict[str, Any] = WEIGHTS
    for key in keys:
        content = {key: content, "epoch": 3}
    torch.save(content, tmp_path / "checkpoint.pt")
    found = read_weights(tmp_path / "checkpoint.pt")
    assert found.weights.keys() == WEIGHTS.keys()
    assert found.description is None


def test_a_checkpoint_that_holds_itself_has_no_weights(tmp_path: Path) -> None:
    endless: dict[str, Any] = {"epoch": 3}
    endless["model"] = endless
    torch.save(endless, tmp_path / "endless.pt")
    with pytest.raises(InvalidInputError, match=r"endless\.pt: holds no weights"):
        read_weights(tmp_path / "endless.pt")


def test_a_model_of_the_app_is_known_with_its_description(make_exported: MakeExported, tmp_path: Path) -> None:
    model = make_exported()
    save_model(tmp_path / "model.safetensors", model.network.state_dict(), model.description)
    found = read_weights(tmp_path / "model.safetensors")
    assert found.description == model.description
    assert found.weights.keys() == model.network.state_dict().keys()


def test_a_bundle_of_the_app_is_known_with_its_description(make_exported: MakeExported, tmp_path: Path) -> None:
    model = make_exported()
    write_bundle(model, tmp_path / "bundle")
    found = read_weights(tmp_path / "bundle")
    assert found.source == "bundle"
    assert found.description == model.description
    assert found.weights.keys() == model.network.state_dict().keys()


def test_another_safetensors_file_has_no_description(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "plain.safetensors")
    found = read_weights(tmp_path / "plain.safetensors")
    assert found.description is None
    assert torch.equal(found.weights["a.weight"], torch.ones(2, 3))


def bundle(folder: Path, metadata: str) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "metadata.json").write_text(metadata)
    torch.save(WEIGHTS, folder / "models" / "model.pt")
    return folder


def test_a_bundle_of_others_gives_its_weights(tmp_path: Path) -> None:
    found = read_weights(bundle(tmp_path / "zoo", json.dumps({"version": "0.1.0"})))
    assert found.description is None
    assert found.weights.keys() == WEIGHTS.keys()


@pytest.mark.parametrize(
    "metadata", ["[", "[]", '{"activelabel": {}}', '{"activelabel": {"description": {"labels": 1}}}']
)
def test_a_bundle_with_wrong_metadata_is_refused(tmp_path: Path, metadata: str) -> None:
    with pytest.raises(InvalidInputError, match=r"metadata\.json") as refused:
        read_weights(bundle(tmp_path / "zoo", metadata))
    assert len(str(refused.value).splitlines()) == 1


def test_what_is_no_file_of_weights_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "cut.safetensors").write_bytes(b"\x40")
    (tmp_path / "model.ts").write_bytes(b"PK")
    torch.save({"epoch": 3}, tmp_path / "nothing.pt")
    torch.save(WEIGHTS, tmp_path / "short.pt")
    (tmp_path / "short.pt").write_bytes((tmp_path / "short.pt").read_bytes()[:200])
    for name in ("missing.pt", "empty", "text.pt", "cut.safetensors", "model.ts", "nothing.pt", "short.pt"):
        with pytest.raises(InvalidInputError, match=name.partition(".")[0]) as refused:
            read_weights(tmp_path / name)
        assert len(str(refused.value).splitlines()) == 1
