"""How the channels of images lie in files, which names alone decide.

Only this module knows which files belong together: everything that lists or reads images uses it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from activelabel.data.files.image_files import AnyImage, ChannelFile, ImageFiles
from activelabel.data.files.names import ending_of, stem_of
from activelabel.errors import InvalidInputError

_SEPARATORS = "-_. "
_NUMBERED = re.compile(r"_(\d{4})")
"""nnU-Net's ending of a channel's file: its number is also that of the frame in a 4D file."""


@dataclass(frozen=True)
class ChannelLayout:
    """How the channels of a project's images lie in files.

    Attributes:
        names: the channels in the recipe's order; empty for images of one channel, each a file.
        endings: what the name of each channel's own file ends in, before the ending of the format.
        frames: the place of each channel in a file of several frames.
        frame_count: see `ImageFiles`.
        shown: the place of the channel that viewers show, in the order of `names`.
    """

    names: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()
    frame_count: int | None = None
    shown: int = 0
    _longest_first: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Put the endings in the order in which a name is compared with them: `_t1_ce` before `_ce`."""
        order = sorted(range(len(self.endings)), key=lambda place: -len(self.endings[place]))
        object.__setattr__(self, "_longest_first", tuple(order))

    def __bool__(self) -> bool:
        """Whether the channels have names."""
        return bool(self.names)

    def files(self, image: AnyImage) -> ImageFiles:
        """The files of the image with this path, which is that of its shown channel's file, or of all its frames."""
        if not self.names or not isinstance(image, str | Path):
            return ImageFiles.of(image)
        path = Path(image)
        found = self._member(path.name)
        if found is None or found[1] != self.shown:
            channels = tuple(
                ChannelFile(name, path, frame) for name, frame in zip(self.names, self.frames, strict=True)
            )
            return ImageFiles(path, channels, self.shown, self.frame_count)
        if len(self.names) == 1:
            return ImageFiles(path)
        start = stem_of(path.name).removesuffix(self.endings[self.shown])
        others = (path.with_name(f"{start}{ending}{ending_of(path.name)}") for ending in self.endings)
        channels = tuple(ChannelFile(name, other) for name, other in zip(self.names, others, strict=True))
        return ImageFiles(path, channels, self.shown, stem=start)

    def name_of(self, path: str) -> str:
        """The path that gives an image its id: that of its file, without what tells the channels apart."""
        if not self._longest_first:
            return path
        folder, _, name = path.rpartition("/")
        found = self._member(name)
        if found is None:
            return path
        rest, ending = found[0], ending_of(name)
        if rest:
            return f"{folder}/{rest}{ending}" if folder else f"{rest}{ending}"
        return f"{folder}{ending}" if folder else path  # FLAIR.nii.gz in the folder of its case

    def grouped(self, paths: Iterable[str]) -> tuple[list[str], dict[str, str]]:
        """The paths of images among those of files, and by path the reason why a file is not used.

        An image whose channels are files is there if all of them are; its path is that of the shown one.
        """
        paths = list(paths)
        if not self.names:
            return paths, {}
        groups: dict[str, dict[int, str]] = {}
        alone: list[str] = []
        for path in paths:
            found = self._member(PurePosixPath(path).name)
            if found is None:
                alone.append(path)
            else:
                groups.setdefault(self.name_of(path), {})[found[1]] = path
        images: list[str] = []
        unused: dict[str, str] = {}
        formats: dict[str, set[int]] = {}
        for name, group in groups.items():
            formats.setdefault(_id_start(name), set()).update(group)
        for name, group in groups.items():
            missing = [place for place in range(len(self.names)) if place not in group]
            if missing and formats[_id_start(name)].issuperset(missing):
                which = ", ".join(f"{self.names[place]} ({self.endings[place]})" for place in missing)
                unused[min(group.values())] = f"its channels are files of several formats: convert {which} to this one"
            elif missing:
                unused[min(group.values())] = self._missing(missing)
            else:
                images.append(group[self.shown])
        begun = {_id_start(name) for name in groups}
        for path in alone:
            if any(start in begun for start in _starts(path)):
                unused[path] = f"a channel that is not asked for: the channels are {self._named()}"
            else:
                images.append(path)
        return images, unused

    def _missing(self, places: Sequence[int]) -> str:
        which = ", ".join(f"{self.names[place]} (a file that ends in {self.endings[place]})" for place in places)
        one = len(places) == 1
        return f"{'the channel' if one else 'the channels'} {which} {'is' if one else 'are'} missing: put it beside"

    def _named(self) -> str:
        return ", ".join(f"{name} ({ending})" for name, ending in zip(self.names, self.endings, strict=True))

    def _member(self, name: str) -> tuple[str, int] | None:
        """The rest of a file's name without a channel's ending, and the place of the channel; None for other files."""
        stem = stem_of(name)
        for place in self._longest_first:
            ending = self.endings[place]
            if stem.endswith(ending):
                return stem.removesuffix(ending).rstrip(_SEPARATORS), place
        return None


ONE_CHANNEL = ChannelLayout()
"""Images of one channel, each a file."""


def channel_layout(
    names: Sequence[str], files: Sequence[str] = (), shown: str = "", declared: Sequence[str] = ()
) -> ChannelLayout:
    """How channels lie in files.

    Args:
        names: the channels in the recipe's order; empty for one channel, or for those that `files` or `declared` name.
        files: what the name of each channel's file ends in, in the order of `names`; by default nnU-Net's `_0000`,
            `_0001`, ...
        shown: the channel that viewers show, by default the first.
        declared: the channels in the order of a `dataset.json`, which numbers the files and frames.

    Raises:
        InvalidInputError: a name is empty or double, or not among those of the `dataset.json`; or there is not one
            ending for each; or no channel is called `shown`.
    """
    if not names and files:
        names = [ending.strip(_SEPARATORS) or ending for ending in files]
    if not names and len(declared) > 1:
        names = declared
    if not names:
        if shown:
            raise InvalidInputError(
                f"shown_channel {shown}: no channels are named: name them as channels, or leave it out"
            )
        return ONE_CHANNEL
    names = _checked_names(names)
    numbers = _numbers(names, files, declared)
    endings = tuple(files) or tuple(f"_{number:04}" for number in numbers)
    if len(endings) != len(names) or len(set(endings)) < len(endings) or not all(endings):
        raise InvalidInputError(
            f"channel_files {','.join(endings)}: expected a different ending for each of the {len(names)} channels "
            f"({', '.join(names)}), in their order"
        )
    whole = sorted(numbers) == list(range(len(numbers)))
    count = len(declared) or (len(numbers) if whole else None)
    return ChannelLayout(tuple(names), endings, numbers, count, _place_of(shown, names))


def _checked_names(names: Sequence[str]) -> list[str]:
    cleaned = [" ".join(name.split()) for name in names]
    same = {name for name in cleaned if [other.casefold() for other in cleaned].count(name.casefold()) > 1}
    wrong = [name for name in cleaned if not name or not name.isprintable() or "," in name]
    if same or wrong:
        raise InvalidInputError(
            f"channels {', '.join(map(repr, cleaned))}: expected a name for each that differs from the others and has "
            "no comma: rename them"
        )
    return cleaned


def _numbers(names: Sequence[str], files: Sequence[str], declared: Sequence[str]) -> tuple[int, ...]:
    """The place of each channel in a file of several: as its ending or the `dataset.json` numbers it."""
    numbered = [_NUMBERED.fullmatch(ending) for ending in files]
    if files and all(numbered):
        return tuple(int(found[1]) for found in numbered if found)
    if files or not declared:
        return tuple(range(len(names)))
    places = {name.strip().casefold(): place for place, name in enumerate(declared)}
    for name in names:
        if name.casefold() not in places:
            raise InvalidInputError(
                f"channels: '{name}' is none of those of the dataset.json, {', '.join(declared)}: name them as there, "
                "or say which files they are with --conf channel_files"
            )
    return tuple(places[name.casefold()] for name in names)


def _place_of(shown: str, names: Sequence[str]) -> int:
    if not shown:
        return 0
    for place, name in enumerate(names):
        if name.casefold() == shown.strip().casefold():
            return place
    raise InvalidInputError(f"shown_channel {shown}: use one of the channels, {', '.join(names)}")


def _id_start(name: str) -> str:
    return name[: len(name) - len(ending_of(name))]


def _starts(path: str) -> Iterable[str]:
    """The beginnings of a path that end before a separator in the file's name."""
    folder, slash, name = path.rpartition("/")
    stem = stem_of(name)
    yield from (f"{folder}{slash}{stem[:place]}" for place, sign in enumerate(stem) if sign in _SEPARATORS and place)
    if folder:
        yield folder
