"""Entries of images and labels in the host's listing."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from monailabel.datastore.local import DataModel, ImageLabelModel

from activelabel.annotation.coverage import WHOLE
from activelabel.data.files.names import ending_of
from activelabel.data.labels.label_map import label_map_of
from activelabel.project.listing import FILE, file_of
from activelabel.store.records.labels import FINAL, Annotation

COVERED = "annotated_slices"
SLICE_AXIS = "slice_axis"
NOT_USED = "labels_not_used"


def listed_label(
    annotation: Annotation, info: Mapping[str, Any], labels: Sequence[str], slice_axis: int | None
) -> DataModel:
    """The listing entry of a label; the names of its values are those of the project, not of the client.

    The entry of a final label names the slices that it covers, not those that the client drew: another project on this
    folder relies on it.
    """
    names = label_map_of(labels).shown_names
    params = info.get("params")
    shown = {
        **{key: value for key, value in info.items() if key not in (COVERED, SLICE_AXIS, "finished", "confirmed")},
        "client_id": annotation.annotator,
        "version": annotation.version,
        "ts": int(annotation.created_at.timestamp()),
        "name": f"{annotation.image_id}.nii.gz",
        "label_info": _by_position(names),
        "params": {**(params if isinstance(params, Mapping) else {}), "label_names": dict(names)},
    }
    if annotation.tag == FINAL:
        shown |= {COVERED: covered_slices(annotation), SLICE_AXIS: slice_axis}
    return DataModel(info=shown, ext=".nii.gz")


def _by_position(names: Mapping[str, int]) -> list[dict[str, Any]]:
    """The names as `label_info`, in which the n-th name has value n; empty where values have gaps."""
    if list(names.values()) != list(range(1, len(names) + 1)):
        return []
    return [{"name": name, "idx": value} for name, value in names.items()]


def is_listed(annotation: Annotation, image: ImageLabelModel) -> bool:
    """Whether the listing shows this label version; false after a kill between keeping and showing it."""
    shown = image.labels.get(annotation.tag)
    if shown is None or shown.info.get("version") != annotation.version:
        return False
    return annotation.tag != FINAL or shown.info.get(COVERED) == covered_slices(annotation)


def covered_slices(annotation: Annotation) -> list[int] | str:
    """The slices of a final label in the form that clients send."""
    return WHOLE if annotation.slices is None else list(annotation.slices)


def file_below(image_id: str, image: DataModel) -> str:
    """The path of an image's file below the folder of images."""
    return file_of(image_id, image.ext, image.info)


def new_image(image_id: str, path: str, info: dict[str, Any]) -> DataModel:
    """The listing entry of an image. Its name is unique, as clients may use it as a file name."""
    ending = ending_of(path)
    elsewhere = {} if path == f"{image_id}{ending}" else {FILE: path}
    named = {"ts": int(time.time()), "name": f"{image_id}{ending.lower()}"}
    return DataModel(info={**info, **named, **elsewhere}, ext=ending)
