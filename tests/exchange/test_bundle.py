"""A bundle: it gives the masks of the app where the app is not installed, voxel for voxel."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from exported_models import MakeExported
from monai.bundle import ConfigParser
from torch import Tensor, nn

from activelabel.data.files.image_files import ChannelFile, ImageFiles
from activelabel.data.labels.label_texts import parse_labels
from activelabel.data.preprocessing import prepare_image, restore_label
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.exchange.bundle import COPIED, script, write_bundle
from activelabel.exchange.exported import Exported
from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor

BLOCKED = ("activelabel", "monailabel", "ignite", "SimpleITK", "pydantic", "scipy", "skimage", "safetensors", "pydicom")
RUN = f"""
import runpy, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
sys.argv = ["monai.bundle", "run", "--config_file", "configs/inference.json", *sys.argv[1:]]
runpy.run_module("monai.bundle", run_name="__main__")
"""


def own_mask(model: Exported, file: Path | ImageFiles) -> np.ndarray:
    settings = model.prediction
    predictor = Predictor(
        model.network,
        settings.window_size,
        settings.window_overlap,
        precision="float32",
        skip_outside_body=settings.skip_outside_body,
        margin=settings.window_margin,
        channels=model.description.inputs,
        overlapping=model.description.labels.overlaps,
    )
    image = prepare_image(read_volume(file), model.description.preprocessing)
    return restore_label(predictor.probabilities(image.tensor), image, model.description.labels)


def assert_same_masks(model: Exported, images: Path, masks: Path) -> None:
    for file in sorted(images.iterdir()):
        written = nibabel.load(masks / file.name.replace(".nii", "_seg.nii"))
        expected = own_mask(model, file)
        assert written.get_data_dtype() == np.uint8
        assert np.array_equal(np.asarray(written.dataobj), expected), file.name
        assert np.array_equal(written.affine, nibabel.load(file).affine)
        assert len(np.unique(expected)) == 3  # each class, or the comparison would say little


def test_a_bundle_gives_the_same_masks_where_the_app_is_not_installed(
    make_exported: MakeExported, images: Path, tmp_path: Path
) -> None:
    model = make_exported(
        intensity="zscore",
        slices_last=True,
        spacing_mm=(1.0, 1.0, 3.0),
        prediction={"window_margin": (0, 0, 3), "window_overlap": 0.5},
    )
    write_bundle(model, tmp_path / "bundle")
    command = [sys.executable, "-c", RUN, "--dataset_dir", str(images), "--output_dir", str(tmp_path / "masks")]
    done = subprocess.run(command, cwd=tmp_path / "bundle", capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-2000:]
    assert_same_masks(model, images, tmp_path / "masks")


@contextmanager
def parsed(bundle: Path, **changes: Any) -> Iterator[ConfigParser]:
    """The configuration as MONAI's command reads it, in this process."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.update({"bundle_root": str(bundle), **changes})
    parser.parse()
    sys.path.insert(0, str(bundle))
    try:
        yield parser
    finally:
        sys.path.remove(str(bundle))
        for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("preprocessing", "prediction"),
    [
        ({"spacing_mm": (1.1, 1.1, 2.0)}, {}),
        ({"orientation": "LPS"}, {"skip_outside_body": False}),
        ({"intensity": "zscore"}, {"window_overlap": 0.0}),
        ({"slices_last": True, "slice_plane": "coronal"}, {"window_margin": (2, 0, 5)}),
    ],
    ids=["resampled", "LPS", "z-scored", "coronal slices last"],
)
def test_a_bundle_gives_the_same_masks_whatever_the_preprocessing(
    make_exported: MakeExported,
    images: Path,
    tmp_path: Path,
    preprocessing: dict[str, Any],
    prediction: dict[str, Any],
) -> None:
    model = make_exported(prediction=prediction, **preprocessing)
    write_bundle(model, tmp_path / "bundle")
    with parsed(
        tmp_path / "bundle", dataset_dir=str(images), output_dir=str(tmp_path / "masks"), device="cpu"
    ) as parser:
        parser.get_parsed_content("run#0")
    assert_same_masks(model, images, tmp_path / "masks")


def with_channels(folder: Path, in_frames: bool) -> Path:
    """The images of `folder` with a second channel, in one file or in two."""
    made = folder.with_name("channels")
    made.mkdir()
    for file in sorted(folder.iterdir()):
        image = nibabel.load(file)
        first = np.asarray(image.dataobj)
        second = (np.flip(first, axis=0) // 2).astype(np.int16)
        if in_frames:
            nibabel.save(nibabel.Nifti1Image(np.stack([first, second], axis=-1), image.affine), made / file.name)
        else:
            for number, voxels in enumerate((first, second)):
                name = file.name.replace(".nii", f"_{number:04d}.nii")
                nibabel.save(nibabel.Nifti1Image(voxels, image.affine), made / name)
    return made


@pytest.mark.parametrize("in_frames", [True, False], ids=["one file", "a file each"])
@pytest.mark.parametrize("intensity", [("window", "zscore"), "zscore", "window"], ids=str)
def test_a_bundle_gives_the_same_masks_of_several_channels(
    make_exported: MakeExported, images: Path, tmp_path: Path, in_frames: bool, intensity: Any
) -> None:
    model = make_exported(channels=("CT", "PET"), intensity=intensity, spacing_mm=(1.1, 1.1, 2.0))
    write_bundle(model, tmp_path / "bundle")
    folder = with_channels(images, in_frames)
    places = {"dataset_dir": str(folder), "output_dir": str(tmp_path / "masks")}
    with parsed(tmp_path / "bundle", device="cpu", **places) as parser:
        parser.get_parsed_content("run#0")
    for file in sorted(images.iterdir()):
        paths = [
            folder / file.name.replace(".nii", f"{end}.nii") for end in (("", "") if in_frames else ("_0000", "_0001"))
        ]
        frames = (0, 1) if in_frames else (None, None)
        channels = tuple(ChannelFile(*each) for each in zip(("CT", "PET"), paths, frames, strict=True))
        expected = own_mask(model, ImageFiles(paths[0], channels))
        written = nibabel.load(tmp_path / "masks" / file.name.replace(".nii", "_seg.nii"))
        assert np.array_equal(np.asarray(written.dataobj), expected), file.name
        assert len(np.unique(expected)) > 1


def test_a_missing_channel_is_said(make_exported: MakeExported, images: Path, tmp_path: Path) -> None:
    write_bundle(make_exported(channels=("CT", "PET")), tmp_path / "bundle")
    folder = with_channels(images, in_frames=False)
    (folder / "small_0001.nii.gz").unlink()
    with parsed(tmp_path / "bundle", dataset_dir=str(folder)) as parser, pytest.raises(RuntimeError) as failed:
        parser.get_parsed_content("data")
    assert "expected 2 channels, got no small_0001.nii.gz" in str(failed.value.__cause__)


@pytest.mark.parametrize(
    ("labels", "values"), [("liver=5+9,tumour=7", {0, 5, 7}), ("liver=1+2,tumour=4+2", {0, 1, 2, 4})]
)
def test_a_mask_has_the_values_of_the_label_files(
    make_exported: MakeExported, images: Path, tmp_path: Path, labels: str, values: set[int]
) -> None:
    model = make_exported(spacing_mm=(1.1, 1.1, 2.0))
    named = parse_labels(labels.split(","), "test")
    network = build_network(model.description.network, named.channels)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)  # so that random weights draw every value
    described = model.description.model_copy(update={"labels": named})
    model = replace(model, network=network.eval(), description=described)
    write_bundle(model, tmp_path / "bundle")
    with parsed(
        tmp_path / "bundle", dataset_dir=str(images), output_dir=str(tmp_path / "masks"), device="cpu"
    ) as parser:
        parser.get_parsed_content("run#0")
    found = set[int]()
    for file in sorted(images.iterdir()):
        mask = np.asarray(nibabel.load(tmp_path / "masks" / file.name.replace(".nii", "_seg.nii")).dataobj)
        np.testing.assert_array_equal(mask, own_mask(model, file))
        found |= set(np.unique(mask).tolist())
    assert found <= values
    assert len(found) >= 3
    metadata = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    channels = metadata["network_data_format"]["post_processed_outputs"]["mask"]["channel_def"]
    assert {int(value) for value in channels} == values


def test_a_folder_without_images_is_said(make_exported: MakeExported, tmp_path: Path) -> None:
    write_bundle(make_exported(), tmp_path / "bundle")
    with parsed(tmp_path / "bundle", dataset_dir=str(tmp_path)) as parser, pytest.raises(RuntimeError) as failed:
        parser.get_parsed_content("data")
    assert "expected an image" in str(failed.value.__cause__)


def test_its_metadata_are_what_the_schema_of_monai_asks_for(make_exported: MakeExported, tmp_path: Path) -> None:
    write_bundle(make_exported(), tmp_path / "bundle")
    metadata = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    texts = ("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors")
    assert all(isinstance(metadata[key], str) for key in (*texts, "copyright", "data_type", "pred_classes"))
    assert metadata["required_packages_version"].keys() == {"nibabel", "fire"}
    for tensors in metadata["network_data_format"].values():
        for tensor in tensors.values():
            required = {"type": str, "format": str, "num_channels": int, "spatial_shape": list, "dtype": str,
                        "value_range": list}  # fmt: skip
            assert all(isinstance(tensor[key], kind) for key, kind in required.items())
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {
        "0": "background", "1": "liver", "2": "tumour",
    }  # fmt: skip
    assert metadata["eval_metrics"] == {"dice": 0.75}
    assert "CC-BY-4.0" in metadata["copyright"]


def test_its_network_takes_and_gives_what_the_metadata_say(make_exported: MakeExported, tmp_path: Path) -> None:
    model = make_exported()
    write_bundle(model, tmp_path / "bundle")
    described = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8"))[
        "network_data_format"
    ]
    image, logits = described["inputs"]["image"], described["outputs"]["pred"]
    windows = torch.rand((2, image["num_channels"], *image["spatial_shape"]))
    network = torch.jit.load(str(tmp_path / "bundle" / "models" / "model.ts"))
    given = network(windows)
    assert given.shape == (2, logits["num_channels"], *logits["spatial_shape"])
    assert str(given.dtype) == f"torch.{logits['dtype']}"
    with torch.no_grad():
        assert torch.allclose(given, model.network(windows), atol=1e-6)


def test_its_weights_can_be_read_without_code(make_exported: MakeExported, tmp_path: Path) -> None:
    model = make_exported()
    write_bundle(model, tmp_path / "bundle")
    weights = torch.load(tmp_path / "bundle" / "models" / "model.pt", weights_only=True)
    assert weights.keys() == model.network.state_dict().keys()


def test_a_bundle_has_a_card_and_a_licence(make_exported: MakeExported, tmp_path: Path) -> None:
    write_bundle(make_exported(), tmp_path / "bundle")
    assert (tmp_path / "bundle" / "docs" / "README.md").read_text(encoding="utf-8") == "# tiny-7\n"
    assert (tmp_path / "bundle" / "docs" / "license.txt").read_text(encoding="utf-8") == "CC-BY-4.0\n"


def test_nothing_is_overwritten(make_exported: MakeExported, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with pytest.raises(InvalidInputError, match="exists already"):
        write_bundle(make_exported(), tmp_path / "bundle")
    assert list((tmp_path / "bundle").iterdir()) == []


class Deciding(nn.Module):
    """A network whose flow depends on its values, which a trace cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv3d(1, 3, 1)

    def forward(self, values: Tensor) -> Tensor:
        logits: Tensor = self.layer(values)
        return logits if len(values) == 1 else -logits


def test_a_network_without_a_torchscript_form_is_refused_and_leaves_nothing(
    make_exported: MakeExported, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="no TorchScript form") as refused:
        write_bundle(make_exported(network=Deciding()), tmp_path / "bundle")
    assert len(str(refused.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_its_scripts_import_nothing_of_the_app() -> None:
    for module in COPIED:
        imported = [line for line in script(module).splitlines() if "import" in line and not line.startswith(" ")]
        assert not [line for line in imported if "activelabel" in line]


def test_a_module_that_imports_more_of_the_app_cannot_be_copied() -> None:
    with pytest.raises(ValueError, match="is part of every bundle, and imports activelabel"):
        script("activelabel.data.files.guard")
