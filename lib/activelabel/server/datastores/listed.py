"""Entries of images and labels in the host's listing."""

import time
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as _as_json
from typing import Any

from monailabel.datastore.local import DataModel

from activelabel.annotation.coverage import WHOLE
from activelabel.data.files.names import ending_of
from activelabel.data.labels.label_map import label_map_of
from activelabel.project.listing import FILE, file_of
from activelabel.store.records.labels import FINAL, Annotation

COVERED = "annotated_slices"
SLICE_AXIS = "slice_axis"
NOT_USED = "labels_not_used"


class ListedImage:
    """An image in the listing, with the same attributes as the host's `ImageLabelModel`, in a tenth of its memory.

    Of most of a million images nothing is known but the file. Their entry is made when somebody asks for it.
    """

    __slots__ = ("_id", "_image", "_labels", "_path", "_since", "_where_noted")

    def __init__(self, image_id: str, path: str, since: int, labels: Mapping[str, DataModel] | None = None) -> None:
        """List the file at `path` below the folder of images, known since the time `since` in seconds."""
        self._id = image_id
        self._path = path
        self._since = since
        self._image: DataModel | None = None
        self._labels = dict(labels) if labels else None
        self._where_noted: dict[str, ListedImage] | None = None

    @classmethod
    def of(cls, image_id: str, image: DataModel, labels: Mapping[str, DataModel] | None = None) -> "ListedImage":
        """List an image with this entry."""
        listed = cls(image_id, "", 0, labels)
        since = image.info.get("ts")
        path = file_below(image_id, image)
        if isinstance(since, int) and image == new_image(image_id, path, {}, since):
            listed._path, listed._since = path, since
        else:
            listed._image = image
        return listed

    @property
    def file(self) -> str:
        """The path of the image's file below the folder of images."""
        return self._path if self._image is None else file_below(self._id, self._image)

    @property
    def image(self) -> DataModel:
        """The entry of the image, which may be changed."""
        if self._image is None:
            self._image = new_image(self._id, self._path, {}, self._since)
            self._note()
        return self._image

    @property
    def since(self) -> int:
        """The time from which on it is known, in seconds; 0 if the entry does not say it."""
        since = self._since if self._image is None else self._image.info.get("ts")
        return since if isinstance(since, int) else 0

    @property
    def is_noted(self) -> bool:
        """Whether more is known of it than its file and since when."""
        return self._image is not None or bool(self._labels)

    def note_in(self, noted: "dict[str, ListedImage]") -> None:
        """Enter it there as soon as more is known of it than its file."""
        self._where_noted = noted

    def _note(self) -> None:
        if self._where_noted is not None:
            self._where_noted[self._id] = self

    @property
    def labels(self) -> Mapping[str, DataModel]:
        """The entries of its labels by tag, which are changed by assignment."""
        return {} if self._labels is None else self._labels

    @labels.setter
    def labels(self, labels: Mapping[str, DataModel]) -> None:
        self._labels = dict(labels) if labels else None
        if labels:
            self._note()

    def noted(self, key: str) -> Any:
        """What is noted about the image under a key; None without."""
        return None if self._image is None else self._image.info.get(key)

    def tags(self) -> list[str]:
        """The tags of its labels."""
        return list(self.labels)

    def as_json(self) -> dict[str, Any]:
        """The whole entry, as the host writes it."""
        if self._image is None:
            image = {"ext": ending_of(self._path), "info": _info_of(self._id, self._path, self._since)}
        else:
            image = self._image.model_dump()
        return {"image": image, "labels": {tag: label.model_dump() for tag, label in self.labels.items()}}


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


def is_listed(annotation: Annotation, image: ListedImage) -> bool:
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


def new_image(image_id: str, path: str, info: dict[str, Any], since: int | None = None) -> DataModel:
    """The listing entry of an image. Its name is unique, as clients may use it as a file name.

    `since` is the time from which on it is known, in seconds; by default now.
    """
    known = _info_of(image_id, path, int(time.time()) if since is None else since)
    return DataModel(info={**info, **known}, ext=ending_of(path))


def line_of(image_id: str, path: str, since: int, entry: str | None = None) -> str:
    """The id and the entry of an image as JSON; without an `entry`, only its file is known."""
    if entry is not None:
        return f"{_as_json(image_id)}: {entry}"
    ending = ending_of(path)
    elsewhere = "" if path == f"{image_id}{ending}" else f', "{FILE}": {_as_json(path)}'
    info = f'{{"ts": {since}, "name": {_as_json(image_id + ending.lower())}{elsewhere}}}'
    return f'{_as_json(image_id)}: {{"image": {{"ext": {_as_json(ending)}, "info": {info}}}, "labels": {{}}}}'


def _info_of(image_id: str, path: str, since: int) -> dict[str, Any]:
    """What is listed of an image of which only the file is known."""
    ending = ending_of(path)
    elsewhere = {} if path == f"{image_id}{ending}" else {FILE: path}
    return {"ts": since, "name": f"{image_id}{ending.lower()}", **elsewhere}
