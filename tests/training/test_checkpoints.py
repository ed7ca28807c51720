import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from activelabel.data.labels.label_texts import parse_labels
from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.recipes import NetworkSettings, PreprocessingSettings
from activelabel.training.checkpoints import (
    FORMAT,
    ModelDescription,
    largest_model_bytes,
    load_model,
    model_bytes,
    open_model,
    save_model,
)

DESCRIPTION = ModelDescription(
    recipe="small",
    labels=("liver", "spleen"),
    network=NetworkSettings(channels=(4, 8), strides=(2,), residual_units=1, dropout=0.1),
    preprocessing=PreprocessingSettings(),
)


Weights = dict[str, torch.Tensor]


def write(path: Path, weights: Weights, description: object) -> None:
    """Write a model file with the given description."""
    metadata = json.dumps({"format": FORMAT, "description": description})
    save_file({name: weight.contiguous() for name, weight in weights.items()}, path, {"activelabel": metadata})


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build_network(DESCRIPTION.network, DESCRIPTION.classes)


@pytest.fixture
def model(tmp_path: Path, network: nn.Module) -> Path:
    save_model(tmp_path / "v1.safetensors", network.state_dict(), DESCRIPTION)
    return tmp_path / "v1.safetensors"


def test_a_published_model_is_read_back_unchanged(model: Path, network: nn.Module) -> None:
    loaded = load_model(model, DESCRIPTION)
    image = torch.randn(1, 1, 4, 4, 4)

    assert not loaded.training
    assert torch.equal(loaded(image), network.eval()(image))


def test_background_is_a_class_of_its_own(network: nn.Module) -> None:
    assert DESCRIPTION.classes == 3
    assert network(torch.zeros(1, 1, 4, 4, 4)).shape[1] == 3


def test_the_hash_is_that_of_the_file(tmp_path: Path, network: nn.Module) -> None:
    sha256 = save_model(tmp_path / "v1.safetensors", network.state_dict(), DESCRIPTION)

    assert sha256 == hashlib.sha256((tmp_path / "v1.safetensors").read_bytes()).hexdigest()
    load_model(tmp_path / "v1.safetensors", DESCRIPTION, sha256)


def test_a_published_version_is_never_replaced(model: Path, network: nn.Module) -> None:
    before = model.read_bytes()

    with pytest.raises(FileExistsError, match=r"v1\.safetensors exists already"):
        save_model(model, network.state_dict(), DESCRIPTION)

    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


def test_a_file_that_was_changed_is_refused(model: Path, network: nn.Module, tmp_path: Path) -> None:
    published = hashlib.sha256(model.read_bytes()).hexdigest()
    save_model(tmp_path / "other.safetensors", build_network(DESCRIPTION.network, 3).state_dict(), DESCRIPTION)

    with pytest.raises(InvalidInputError, match=r"other\.safetensors: the file is not the one that was published"):
        load_model(tmp_path / "other.safetensors", DESCRIPTION, published)


class Harmful:
    """An object whose unpickling makes a file, as a model from elsewhere could hold."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.path), "w"))


def test_a_file_with_code_in_it_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    torch.save({"format": "activelabel model 1", "weights": Harmful(tmp_path / "ran")}, tmp_path / "v1.safetensors")

    with pytest.raises(InvalidInputError, match=r"v1\.safetensors: the file is no model of this app"):
        load_model(tmp_path / "v1.safetensors", DESCRIPTION)

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
    (tmp_path / "v1.safetensors").write_bytes(content)

    with pytest.raises(InvalidInputError, match=r"v1\.safetensors: the file is no model of this app"):
        load_model(tmp_path / "v1.safetensors", DESCRIPTION)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model_is_refused(model: Path, share: float) -> None:
    whole = model.read_bytes()
    model.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(InvalidInputError, match=r"v1\.safetensors: the file is no model of this app"):
        load_model(model, DESCRIPTION)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"v1\.safetensors: there is no such file"):
        load_model(tmp_path / "v1.safetensors", DESCRIPTION)


@pytest.mark.parametrize(
    ("change", "expected"),
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
def test_a_model_of_other_settings_is_refused(model: Path, change: dict[str, object], expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        load_model(model, DESCRIPTION.model_copy(update=change))


def test_a_model_from_before_there_were_two_ways_up_is_told_apart_in_one_line(model: Path, tmp_path: Path) -> None:
    """Such a description has no key for the upsampling, which was always MONAI's."""
    older = DESCRIPTION.model_dump(mode="json")
    del older["network"]["upsampling"]
    write(tmp_path / "old.safetensors", load_file(model), older)
    smoothed = DESCRIPTION.network.model_copy(update={"upsampling": "smoothed"})

    load_model(tmp_path / "old.safetensors", DESCRIPTION)
    with pytest.raises(InvalidInputError, match=r"trained with network\.upsampling transposed, expected smoothed"):
        load_model(tmp_path / "old.safetensors", DESCRIPTION.model_copy(update={"network": smoothed}))


def test_a_model_keeps_the_padding_that_it_was_trained_with(model: Path, tmp_path: Path) -> None:
    """A description from before has no key for it; it was always zeros, also where its recipe repeats voxels now."""
    older = DESCRIPTION.model_dump(mode="json")
    del older["network"]["padding"]
    write(tmp_path / "old.safetensors", load_file(model), older)
    repeating = DESCRIPTION.network.model_copy(update={"padding": "repeated"})
    expected = DESCRIPTION.model_copy(update={"network": repeating})
    save_model(tmp_path / "new.safetensors", load_file(model), expected)
    image = torch.randn(1, 1, 8, 8, 8)

    with torch.no_grad():
        before = load_model(model, DESCRIPTION)(image)
        after = load_model(tmp_path / "new.safetensors", expected)(image)
        assert torch.equal(load_model(tmp_path / "old.safetensors", expected)(image), before)
        assert torch.equal(load_model(tmp_path / "new.safetensors", DESCRIPTION)(image), after)
    assert not torch.allclose(before, after)


def test_a_model_with_a_way_up_that_there_is_no_more_is_refused_in_one_line(model: Path, tmp_path: Path) -> None:
    older = DESCRIPTION.model_dump(mode="json")
    older["network"]["upsampling"] = "resize"
    write(tmp_path / "old.safetensors", load_file(model), older)

    for read in (open_model, lambda file: load_model(file, DESCRIPTION)):
        with pytest.raises(InvalidInputError) as refused:
            read(tmp_path / "old.safetensors")
        line = str(refused.value)
        assert line.startswith("model old.safetensors: 'network.upsampling' is 'resize'")
        assert line.endswith("train a new model")
        assert "\n" not in line


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
    save_model(tmp_path / "v1.safetensors", network.state_dict(), axial)

    if slices_last:
        with pytest.raises(InvalidInputError, match=r"preprocessing\.slice_plane axial, expected coronal"):
            load_model(tmp_path / "v1.safetensors", coronal)
    else:
        load_model(tmp_path / "v1.safetensors", coronal)


def test_a_model_of_a_recipe_with_another_name_is_accepted(model: Path) -> None:
    load_model(model, DESCRIPTION.model_copy(update={"recipe": "renamed"}))


def first_as(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Weights], Weights]:
    """Return a function that changes the first of some weights."""
    return lambda weights: {name: change(weight) if not place else weight for place, (name, weight) in
                            enumerate(weights.items())}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda weights: {"nothing": torch.zeros(1)}, "its weights do not fit the network"),
        (lambda weights: {**weights, "more": torch.zeros(1)}, "'more' is none of it"),
        (lambda weights: dict(list(weights.items())[1:]), "' is missing"),
        (first_as(lambda weight: weight.to(torch.complex64)), r"is C64 \(.*, expected F32"),
        (first_as(lambda weight: weight.to(torch.int64)), r"is I64 \(.*, expected F32"),
        (first_as(lambda weight: weight.to(torch.float64)), r"is F64 \(.*, expected F32"),
        (first_as(lambda weight: weight.to(torch.bfloat16)), r"is BF16 \(.*, expected F32"),
        (first_as(lambda weight: weight.flatten()), r"is F32 \(\d+,\), expected F32 \(\d+, 1, 3, 3, 3\)"),
        (first_as(lambda weight: torch.full_like(weight, torch.nan)), "its weights are not finite"),
        (first_as(lambda weight: torch.full_like(weight, -torch.inf)), "its weights are not finite"),
    ],
    ids=["others", "one more", "one less", "complex", "whole numbers", "double", "bfloat16", "shape", "nan", "inf"],
)
def test_weights_that_do_not_fit_are_refused_and_never_cast(
    tmp_path: Path, network: nn.Module, change: Callable[[Weights], Weights], expected: str
) -> None:
    weights = {name: weight for name, weight in network.state_dict().items()}
    write(tmp_path / "v1.safetensors", change(weights), DESCRIPTION.model_dump(mode="json"))

    with pytest.raises(InvalidInputError, match=rf"^model v1\.safetensors: [^\n]*{expected}[^\n]*$"):
        load_model(tmp_path / "v1.safetensors", DESCRIPTION)


def test_equal_models_have_equal_files(network: nn.Module) -> None:
    weights = network.state_dict()
    backwards = dict(reversed(weights.items()))
    assert model_bytes(weights, DESCRIPTION) == model_bytes(backwards, DESCRIPTION)


def test_the_largest_file_of_a_model_is_a_little_larger_than_a_model(model: Path) -> None:
    size = model.stat().st_size
    assert size < largest_model_bytes(DESCRIPTION) < size + 2 * 2**20


@pytest.mark.parametrize(
    "header", [b"[" * 2**19, b"[]", b"{}", b'{"__metadata__": {}}', b'{"__metadata__": 3}', b"\xff"]
)
def test_an_odd_header_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "v1.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)

    with pytest.raises(InvalidInputError, match=r"v1\.safetensors: the file is no model of this app"):
        load_model(tmp_path / "v1.safetensors", DESCRIPTION)


def test_a_header_that_says_it_is_endless_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "v1.safetensors").write_bytes((2**63).to_bytes(8, "little") + b"{}" * 100)

    with pytest.raises(InvalidInputError, match=r"v1\.safetensors: the file is no model of this app"):
        load_model(tmp_path / "v1.safetensors", DESCRIPTION)


FLAIR_AND_T1 = DESCRIPTION.model_copy(update={"channels": ("FLAIR", "T1")})


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        (DESCRIPTION, "it was trained with channels FLAIR, T1, expected one: start"),
        (FLAIR_AND_T1.model_copy(update={"channels": ("T1", "FLAIR")}), "channels FLAIR, T1, expected T1, FLAIR"),
        (FLAIR_AND_T1.model_copy(update={"channels": ("FLAIR", "T1", "T2")}), "expected FLAIR, T1, T2"),
    ],
)
def test_a_model_of_other_channels_is_refused(tmp_path: Path, expected: ModelDescription, line: str) -> None:
    network = build_network(DESCRIPTION.network, DESCRIPTION.classes, inputs=2)
    save_model(tmp_path / "v2.safetensors", network.state_dict(), FLAIR_AND_T1)
    loaded = load_model(tmp_path / "v2.safetensors", FLAIR_AND_T1)
    assert loaded(torch.zeros(1, 2, 4, 4, 4)).shape == (1, 3, 4, 4, 4)
    with pytest.raises(InvalidInputError, match=rf"^model v2\.safetensors: [^\n]*{line}[^\n]*$"):
        load_model(tmp_path / "v2.safetensors", expected)


def test_what_the_only_channel_is_called_makes_no_difference(model: Path) -> None:
    assert load_model(model, DESCRIPTION.model_copy(update={"channels": ("CT",)}))


def test_a_file_from_before_channels_were_recorded_has_one(tmp_path: Path, network: nn.Module) -> None:
    said = DESCRIPTION.model_dump(mode="json")
    del said["channels"]
    write(tmp_path / "old.safetensors", network.state_dict(), said)
    assert open_model(tmp_path / "old.safetensors")[1] == DESCRIPTION


def test_a_model_file_says_what_its_values_mean_and_one_of_another_map_is_refused(tmp_path: Path) -> None:
    regions = DESCRIPTION.model_copy(update={"labels": parse_labels(["liver=1+2", "tumour=2"], "test")})
    assert regions.classes == 2
    network = build_network(regions.network, regions.classes)
    save_model(tmp_path / "m.safetensors", network.state_dict(), regions)
    assert open_model(tmp_path / "m.safetensors")[1] == regions
    plain = DESCRIPTION.model_copy(update={"labels": ("liver", "tumour")})
    expected = r"it was trained with labels liver=1\+2, tumour=2, expected liver, tumour: start the app"
    with pytest.raises(InvalidInputError, match=expected):
        load_model(tmp_path / "m.safetensors", ModelDescription.model_validate(plain.model_dump()))


def test_plain_labels_are_in_the_file_as_they_always_were() -> None:
    assert DESCRIPTION.model_dump(mode="json")["labels"] == ["liver", "spleen"]
    assert DESCRIPTION.classes == 3
