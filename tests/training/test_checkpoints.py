import hashlib
import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.recipes import NetworkSettings, PreprocessingSettings
from activelabel.training.checkpoints import ModelDescription, load_model, save_model

DESCRIPTION = ModelDescription(
    recipe="small",
    labels=("liver", "spleen"),
    network=NetworkSettings(channels=(4, 8), strides=(2,), residual_units=1, dropout=0.1),
    preprocessing=PreprocessingSettings(),
)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build_network(DESCRIPTION.network, DESCRIPTION.classes)


@pytest.fixture
def model(tmp_path: Path, network: nn.Module) -> Path:
    save_model(tmp_path / "v1.pt", network.state_dict(), DESCRIPTION)
    return tmp_path / "v1.pt"


def test_a_model_comes_back_as_it_was(model: Path, network: nn.Module) -> None:
    loaded = load_model(model, DESCRIPTION)
    image = torch.randn(1, 1, 4, 4, 4)

    assert not loaded.training
    assert torch.equal(loaded(image), network.eval()(image))


def test_background_is_a_class_of_its_own(network: nn.Module) -> None:
    assert DESCRIPTION.classes == 3
    assert network(torch.zeros(1, 1, 4, 4, 4)).shape[1] == 3


def test_the_hash_is_that_of_the_file(tmp_path: Path, network: nn.Module) -> None:
    sha256 = save_model(tmp_path / "v1.pt", network.state_dict(), DESCRIPTION)

    assert sha256 == hashlib.sha256((tmp_path / "v1.pt").read_bytes()).hexdigest()
    load_model(tmp_path / "v1.pt", DESCRIPTION, sha256)


def test_a_published_version_is_never_replaced(model: Path, network: nn.Module) -> None:
    before = model.read_bytes()

    with pytest.raises(FileExistsError, match=r"v1\.pt exists already"):
        save_model(model, network.state_dict(), DESCRIPTION)

    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


def test_a_file_that_was_changed_is_refused(model: Path, network: nn.Module, tmp_path: Path) -> None:
    published = hashlib.sha256(model.read_bytes()).hexdigest()
    save_model(tmp_path / "other.pt", build_network(DESCRIPTION.network, 3).state_dict(), DESCRIPTION)

    with pytest.raises(InvalidInputError, match=r"other\.pt: the file is not the one that was published"):
        load_model(tmp_path / "other.pt", DESCRIPTION, published)


class Harmful:
    """An object whose unpickling makes a file: what a model from elsewhere could hold."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.path), "w"))


def test_a_file_with_code_in_it_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    torch.save({"format": "activelabel model 1", "weights": Harmful(tmp_path / "ran")}, tmp_path / "v1.pt")

    with pytest.raises(InvalidInputError, match=r"v1\.pt: the file is no model of this app"):
        load_model(tmp_path / "v1.pt", DESCRIPTION)

    assert not (tmp_path / "ran").exists()


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def other_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "no model")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"text", pickle.dumps({"format": "activelabel model 1"}), other_zip(), saved([1]), saved({"weights": {}})],
    ids=["empty", "text", "plain pickle", "another zip", "a list", "weights of another app"],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v1.pt").write_bytes(content)

    with pytest.raises(InvalidInputError, match=r"v1\.pt: the file is no model of this app"):
        load_model(tmp_path / "v1.pt", DESCRIPTION)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model_is_refused(model: Path, share: float) -> None:
    whole = model.read_bytes()
    model.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(InvalidInputError, match=r"v1\.pt: the file is no model of this app"):
        load_model(model, DESCRIPTION)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"v1\.pt: there is no such file"):
        load_model(tmp_path / "v1.pt", DESCRIPTION)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ("spleen", "liver")}, "labels liver, spleen, expected spleen, liver"),
        ({"network": NetworkSettings(channels=(4, 16), strides=(2,))}, r"network\.channels 4, 8, expected 4, 16"),
        (
            {"preprocessing": PreprocessingSettings(spacing_mm=(1, 1, 2))},
            r"preprocessing\.spacing_mm None, expected 1\.0, 1\.0, 2\.0",
        ),
    ],
    ids=["labels", "network", "preprocessing"],
)
def test_a_model_of_other_settings_is_refused(model: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        load_model(model, DESCRIPTION.model_copy(update=change))


def test_a_model_from_before_there_were_two_ways_up_is_told_apart_in_one_line(model: Path, tmp_path: Path) -> None:
    """Its description does not say which it has: MONAI's, the only one there was."""
    content = torch.load(model, weights_only=True)
    del content["description"]["network"]["upsampling"]
    torch.save(content, tmp_path / "old.pt")
    resized = DESCRIPTION.network.model_copy(update={"upsampling": "resize"})

    load_model(tmp_path / "old.pt", DESCRIPTION)
    with pytest.raises(InvalidInputError, match=r"trained with network\.upsampling transposed, expected resize"):
        load_model(tmp_path / "old.pt", DESCRIPTION.model_copy(update={"network": resized}))


@pytest.mark.parametrize("slices_last", [False, True])
def test_the_plane_of_the_slices_matters_only_where_the_network_sees_it(
    tmp_path: Path, network: nn.Module, slices_last: bool
) -> None:
    axial, coronal = (
        DESCRIPTION.model_copy(
            update={"preprocessing": PreprocessingSettings(slices_last=slices_last, slice_plane=plane)}
        )
        for plane in ("axial", "coronal")
    )
    save_model(tmp_path / "v1.pt", network.state_dict(), axial)

    if slices_last:
        with pytest.raises(InvalidInputError, match=r"preprocessing\.slice_plane axial, expected coronal"):
            load_model(tmp_path / "v1.pt", coronal)
    else:
        load_model(tmp_path / "v1.pt", coronal)


def test_the_name_of_the_recipe_may_differ(model: Path) -> None:
    load_model(model, DESCRIPTION.model_copy(update={"recipe": "renamed"}))


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "v1.pt", {"nothing": torch.zeros(1)}, DESCRIPTION)

    with pytest.raises(InvalidInputError, match="its weights do not fit the network it names"):
        load_model(tmp_path / "v1.pt", DESCRIPTION)
