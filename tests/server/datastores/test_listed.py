"""The listing of many images in little memory, and its file."""

import json
import tracemalloc
from pathlib import Path

import pytest
from monailabel.datastore.local import DataModel, ImageLabelModel

from activelabel.server.datastores.folder_listing import read_objects
from activelabel.server.datastores.listed import ListedImage, new_image


def as_host_writes(**objects: ImageLabelModel) -> str:
    listing = {"name": "n", "objects": {image_id: shown.model_dump() for image_id, shown in objects.items()}}
    return json.dumps(listing, indent=2)


@pytest.mark.parametrize("path", ["a.nii.gz", "sub/a.nii.gz", "a.NII.GZ", "b.nrrd"])
def test_an_entry_is_that_of_the_host_whether_it_is_asked_for_or_not(path: str) -> None:
    listed, whole = ListedImage("a", path, 5), new_image("a", path, {}, 5)
    assert listed.as_json() == ImageLabelModel(image=whole).model_dump()
    assert listed.image == whole
    listed.image.info["note"] = "x"
    assert listed.as_json()["image"]["info"]["note"] == listed.noted("note") == "x"
    assert listed.file == path


def test_what_is_listed_comes_back_from_the_file(tmp_path: Path) -> None:
    noted = DataModel(info={**new_image("c", "c.nii", {}, 7).info, "strategy": {"ts": 1}}, ext=".nii")
    entries = [{"image": {"ext": ext, "info": {"name": "x"}}, "labels": {}} for ext in (".nii", 1)]
    said = {"image": {"ext": 1}, "labels": {"entries": entries}}  # as an image's entry looks
    label = DataModel(info={"version": 2, "params": said}, ext=".nii.gz")
    objects = {
        "a": ImageLabelModel(image=new_image("a", "a.nii.gz", {}, 5)),
        "b": ImageLabelModel(image=new_image("b", "deep/x.nrrd", {}, 6), labels={"final": label}),
        "c": ImageLabelModel(image=noted),
    }
    (tmp_path / "listing.json").write_text(as_host_writes(**objects), encoding="utf-8")
    found = read_objects(tmp_path / "listing.json")
    assert [found[name].as_json() for name in "ac"] == [objects[name].model_dump() for name in "ac"]
    assert found["b"].file == "deep/x.nrrd"
    assert found["b"].labels["final"].info == {"version": 2, "params": said}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"objects": []}', '{"objects": {"a": 3}}', '{"objects": {"a": {"image": 3, "labels": {}}}}'],
)
def test_a_damaged_file_is_no_listing(tmp_path: Path, content: str) -> None:
    (tmp_path / "listing.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"expected|Expecting"):
        read_objects(tmp_path / "listing.json")


def test_an_image_without_labels_takes_less_than_two_hundred_bytes() -> None:
    names = [f"case_{number:05}" for number in range(10_000)]
    paths = [f"{name}.nii.gz" for name in names]
    tracemalloc.start()
    listed = {name: ListedImage(name, path, 5) for name, path in zip(names, paths, strict=True)}
    assert not any(shown.labels or shown.noted("note") for shown in listed.values())
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / len(listed) < 200
