"""A network of a user's own: a function that a recipe names, or the network of a bundle."""

import json
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from activelabel.errors import InvalidInputError
from activelabel.networks import build_network, weight_shapes
from activelabel.recipes import NetworkSettings

CODE = """
from torch import nn

TABLE = {}

def build(in_channels, out_channels, width=4):
    first = nn.Conv3d(in_channels, width, 3, padding=1)
    return nn.Sequential(first, nn.Dropout(0.1), nn.Conv3d(width, out_channels, 1))

def fails(in_channels, out_channels):
    raise ValueError("not today\\nand a second line")

def gives_a_number(in_channels, out_channels):
    return 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's own."""
    (tmp_path / "own_networks_of_a_test.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_networks_of_a_test", raising=False)
    return "own_networks_of_a_test"


def test_the_function_gets_channels_and_settings(mine: str) -> None:
    network = build_network(NetworkSettings(type=f"{mine}:build", settings={"width": 7}), classes=3)
    assert network[0].weight.shape == (7, 1, 3, 3, 3)
    assert network[2].weight.shape == (3, 7, 1, 1, 1)


def test_its_shapes_are_known_without_drawing_random_numbers(mine: str) -> None:
    settings = NetworkSettings(type=f"{mine}:build")
    torch.manual_seed(5)
    shapes = weight_shapes(settings, classes=2)
    drawn = torch.rand(())
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(()))
    built = build_network(settings, classes=2).state_dict()
    assert {name: values.shape for name, values in shapes.items()} == {n: v.shape for n, v in built.items()}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("no_such_module_anywhere:build", "there is no module 'no_such_module_anywhere': install it, or .*PYTHONPATH"),
        ("{mine}:bild", "has no function 'bild': use one of build, fails, gives_a_number"),
        ("{mine}:TABLE", "has no function 'TABLE'"),
        ("{mine}:fails", "ValueError: and a second line"),
        ("{mine}:gives_a_number", "expected a torch.nn.Module, got int"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(mine: str, code: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as refused:
        build_network(NetworkSettings(type=code.format(mine=mine)), classes=2)
    assert len(str(refused.value).splitlines()) == 1


def test_an_argument_that_the_function_does_not_have_is_one_line(mine: str) -> None:
    with pytest.raises(InvalidInputError, match=r"TypeError: .*depth"):
        build_network(NetworkSettings(type=f"{mine}:build", settings={"depth": 3}), classes=2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"type": "os.system"}, "match pattern"),
        ({"type": "a:b; c"}, "match pattern"),
        ({"type": "a:b", "bundle": "folder"}, "leave one out"),
        ({"type": "a:b", "channels": (4, 8)}, "channels is not known to a network of your own"),
        ({"settings": {"width": 3}}, "name it with type or bundle"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NetworkSettings(**settings)


def bundle(folder: Path, content: dict[str, object], name: str = "inference.json") -> str:
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / name).write_text(json.dumps(content))
    return str(folder)


UNET = {
    "_target_": "UNet", "spatial_dims": 3, "in_channels": 4, "out_channels": 9, "channels": [2, 4], "strides": [2],
    "dropout": "@rate",
}  # fmt: skip


def test_the_network_of_a_bundle_gets_the_channels_of_the_project(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "zoo", {"rate": 0.3, "network_def": UNET, "network": "$@network_def.to('nowhere')"})
    network = build_network(NetworkSettings(bundle=folder, settings={"channels": [3, 5]}), classes=2)
    assert network(torch.zeros(1, 1, 8, 8, 8)).shape == (1, 2, 8, 8, 8)
    assert {layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)} == {0.3}
    assert network.channels == [3, 5]


def test_a_bundle_uses_its_own_scripts(tmp_path: Path) -> None:
    target = "scripts_of_a_bundle.nets.Own"
    folder = bundle(tmp_path / "zoo", {"network_def": {"_target_": target, "out_channels": 5}}, "train.json")
    (tmp_path / "zoo" / "scripts_of_a_bundle").mkdir()
    (tmp_path / "zoo" / "scripts_of_a_bundle" / "__init__.py").touch()
    code = "from torch import nn\ndef Own(in_channels, out_channels):\n    return nn.Conv3d(1, out_channels, 1)\n"
    (tmp_path / "zoo" / "scripts_of_a_bundle" / "nets.py").write_text(code)
    assert build_network(NetworkSettings(bundle=folder), classes=4).weight.shape == (4, 1, 1, 1, 1)
    assert folder not in sys.path


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (None, "has no network_def"),
        ("$torch.nn.Identity()", "has no network_def with a _target_"),
        ({"_target_": "torch.jit.load", "f": "model.ts"}, "TorchScript, which cannot be trained"),
        ({"_target_": "torch.nn.Identity"}, "has no out_channels"),
        ({"_target_": "no.such.Network", "out_channels": 2}, "zoo'"),
    ],
)
def test_a_bundle_without_a_network_that_can_be_trained_is_one_line(
    tmp_path: Path, definition: object, said: str
) -> None:
    folder = bundle(tmp_path / "zoo", {} if definition is None else {"network_def": definition})
    with pytest.raises(InvalidInputError, match=said) as refused:
        build_network(NetworkSettings(bundle=folder), classes=2)
    assert len(str(refused.value).splitlines()) == 1


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected a MONAI bundle"):
        build_network(NetworkSettings(bundle=str(tmp_path)), classes=2)


def described(folder: Path, network: dict[str, object]) -> str:
    """A bundle as this app exports it, as far as its network goes."""
    made = bundle(folder, {"network_def": {"_target_": "torch.jit.load"}})
    metadata = {"activelabel": {"description": {"network": network}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return made


def test_the_network_of_an_exported_bundle_is_that_of_its_model(tmp_path: Path) -> None:
    own = NetworkSettings(channels=(3, 5), strides=(2,))
    folder = described(tmp_path / "exported", own.model_dump(mode="json"))
    expected = build_network(own, classes=2).state_dict()
    assert build_network(NetworkSettings(bundle=folder), classes=2).state_dict().keys() == expected.keys()


def test_an_exported_bundle_does_not_say_what_code_runs(mine: str, tmp_path: Path) -> None:
    folder = described(tmp_path / "exported", {"type": f"{mine}:build"})
    with pytest.raises(InvalidInputError, match=f"code from elsewhere, {mine}:build: name that code itself"):
        build_network(NetworkSettings(bundle=folder), classes=2)


def test_both_kinds_get_the_channels_of_the_images(mine: str, tmp_path: Path) -> None:
    named = build_network(NetworkSettings(type=f"{mine}:build"), classes=2, inputs=4)
    assert named[0].weight.shape[1] == 4
    folder = bundle(tmp_path / "zoo", {"rate": 0.3, "network_def": UNET})
    bundled = build_network(NetworkSettings(bundle=folder), classes=2, inputs=3)
    assert bundled(torch.zeros(1, 3, 8, 8, 8)).shape == (1, 2, 8, 8, 8)
