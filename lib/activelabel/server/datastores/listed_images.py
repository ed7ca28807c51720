"""All images in the listing: of most of a million only the file is known, and an entry is made when somebody asks."""

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from activelabel.data.files.many.path_table import PathTable
from activelabel.server.datastores.listed import ListedImage, line_of

Times = np.ndarray[Any, np.dtype[np.int64]]
"""Since when each image is known, in seconds; shape (images,)."""


class ListedImages(Mapping[str, ListedImage]):
    """The images in the listing by id, sorted; which they are never changes, while their entries may.

    Attributes:
        files: the path of each image below the folder.
        times: since when each is known.
        noted: the entries of images of which more is known than the file.
    """

    def __init__(self, files: Mapping[str, str], times: Times, noted: Mapping[str, ListedImage]) -> None:
        """List these files; `noted` are entries of some of them."""
        self.files = PathTable.of(files)
        self.times = times
        self.noted = {**noted}
        for listed in self.noted.values():
            listed.note_in(self.noted)

    @classmethod
    def of(cls, images: Mapping[str, ListedImage]) -> "ListedImages":
        """List images with these entries."""
        files = PathTable.of({image_id: listed.file for image_id, listed in images.items()})
        times = np.fromiter((images[image_id].since for image_id in files), np.int64, len(files))
        return cls(files, times, {image_id: listed for image_id, listed in images.items() if listed.is_noted})

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self.files

    def __getitem__(self, image_id: str) -> ListedImage:
        noted = self.noted.get(image_id)
        if noted is not None:
            return noted
        place = self.files.find(image_id)
        if place is None:
            raise KeyError(image_id)
        fresh = ListedImage(image_id, self.files.paths[place], int(self.times[place]))
        fresh.note_in(self.noted)
        return fresh

    def labelled(self) -> dict[str, ListedImage]:
        """The images that have labels."""
        return {image_id: listed for image_id, listed in self.noted.copy().items() if listed.labels}

    def with_files(self, files: Mapping[str, str]) -> "ListedImages":
        """List these files instead: what is known of an image stays if its file does, and its labels in any case."""
        table = PathTable.of(files)
        if table is self.files:
            return self
        times = np.full(len(table), int(time.time()), np.int64)
        before = zip(self.files.ids, self.files.paths, self.times, strict=True)
        earlier = next(before, None)
        for place, (image_id, path) in enumerate(table.pairs()):
            while earlier is not None and earlier[0] < image_id:
                earlier = next(before, None)
            if earlier is not None and earlier[:2] == (image_id, path):
                times[place] = earlier[2]
        return ListedImages(table, times, self._noted_in(table, times, self.noted))

    def changed(self, files: PathTable, came: Mapping[str, str], gone: Collection[str]) -> "ListedImages":
        """Do what `with_files` does, for files of which only these came, under a new id or another path, or went."""
        places = [place for image_id in gone if (place := self.files.find(image_id)) is not None]
        times, left = np.delete(self.times, places), self.files.changed({}, gone)
        now, new = int(time.time()), sorted(image_id for image_id in came if image_id not in left)
        times = np.insert(times, [left.ids.place(image_id.encode()) for image_id in new], now)
        for image_id in came:
            place = files.find(image_id)
            assert place is not None
            times[place] = now
        asked = {image_id: self.noted[image_id] for image_id in self.noted.keys() & came.keys()}
        stays = {id_: listed for id_, listed in self.noted.copy().items() if id_ not in gone and id_ not in came}
        return ListedImages(files, times, stays | self._noted_in(files, times, asked))

    def with_image(self, image_id: str, listed: ListedImage) -> "ListedImages":
        """List one more image."""
        files = self.files.changed({image_id: listed.file}, ())
        more = self.changed(files, {image_id: listed.file}, ())
        return ListedImages(files, more.times, {**more.noted, image_id: listed})

    def _noted_in(self, table: PathTable, times: Times, asked: Mapping[str, ListedImage]) -> dict[str, ListedImage]:
        """What stays noted of images: all if their file does, else their labels alone."""
        noted = dict[str, ListedImage]()
        for image_id, listed in asked.items():
            place = table.find(image_id)
            if place is None:
                continue
            path = table.paths[place]
            if listed.file == path:
                noted[image_id] = listed
            elif listed.labels:
                noted[image_id] = ListedImage(image_id, path, int(times[place]), listed.labels)
        return noted

    def lines(self, noted: Mapping[str, str]) -> Iterator[str]:
        """The entry of each image as the host writes it: `"id": {...}`; `noted` are those of noted images."""
        for (image_id, path), since in zip(self.files.pairs(), self.times, strict=True):
            yield line_of(image_id, path, int(since), noted.get(image_id))
