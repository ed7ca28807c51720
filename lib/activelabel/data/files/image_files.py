"""The files of an image: one file, a file for each channel, or a file whose frames are the channels."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from activelabel.data.files.names import ending_of

ImageJson: TypeAlias = str | dict[str, Any]
"""`ImageFiles` as JSON: the path of its file, or an object if it has several channels."""


@dataclass(frozen=True)
class ChannelFile:
    """A channel of an image: its name, its file, and its frame in a file of several; None for a file of its own."""

    name: str
    path: Path
    frame: int | None = None


@dataclass(frozen=True)
class ImageFiles:
    """The files of an image.

    Attributes:
        path: the file that names the image and whose grid it has: that of the channel that viewers show.
        channels: the channels in the recipe's order; empty for an image of one channel, which is all of `path`.
        shown: the place of the channel that viewers show.
        frame_count: the number of frames that a file of several must have; None for any that is large enough.
        stem: what the names of the channels' own files begin with, before that which tells them apart.
        changed_ns: for copies of files of another machine, when those were changed there (see `data.files.state`); 0
            if that machine does not say it.
    """

    path: Path
    channels: tuple[ChannelFile, ...] = ()
    shown: int = 0
    frame_count: int | None = None
    stem: str = ""
    changed_ns: int | None = None

    @classmethod
    def of(cls, image: "AnyImage") -> "ImageFiles":
        """The files of an image that is given as such, as the path of its one file, or as JSON."""
        if isinstance(image, ImageFiles):
            return image
        if isinstance(image, str | Path):
            return cls(Path(image))
        channels = tuple(ChannelFile(name, Path(path), frame) for name, path, frame in image["channels"])
        return cls(Path(image["path"]), channels, image["shown"], image["frame_count"], image["stem"])

    def as_json(self) -> ImageJson:
        """The files as JSON, from which `of` makes them again."""
        if not self.channels:
            return str(self.path)
        channels = [[channel.name, str(channel.path), channel.frame] for channel in self.channels]
        others = {"shown": self.shown, "frame_count": self.frame_count, "stem": self.stem}
        return {"path": str(self.path), "channels": channels, **others}

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file once, `path` first."""
        return tuple(dict.fromkeys((self.path, *(channel.path for channel in self.channels))))

    @property
    def in_frames(self) -> bool:
        """Whether the channels are frames of one file, so that clients cannot open the shown one as a file."""
        return any(channel.frame is not None for channel in self.channels)

    @property
    def name(self) -> str:
        """The name of the file that names the image."""
        return self.path.name

    def exists(self) -> bool:
        """Whether the file that names the image is there."""
        return self.path.exists()

    def all_exist(self) -> bool:
        """Whether all files are there: of each channel."""
        return all(path.exists() for path in self.paths)

    def located(self) -> "ImageFiles":
        """The same files by the paths of their folders without links; links to the files themselves stay."""
        channels = tuple(replace(channel, path=_located(channel.path)) for channel in self.channels)
        return replace(self, path=_located(self.path), channels=channels)

    def moved(self, folder: Path, stem: str) -> dict[Path, Path]:
        """By file, its path in another folder under an image's `stem`; channels keep what tells their files apart."""
        if len(self.paths) == 1:
            return {self.path: folder / f"{stem}{ending_of(self.path.name)}"}
        return {path: folder / f"{stem}{path.name[len(self.stem) :]}" for path in self.paths}


AnyImage: TypeAlias = ImageFiles | Path | str | Mapping[str, Any]
"""An image as its files, as the path of its one file, or as JSON."""


def _located(path: Path) -> Path:
    return path.parent.resolve() / path.name
