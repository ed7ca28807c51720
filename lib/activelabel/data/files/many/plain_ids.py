"""Ids of images that are their paths, as those of nearly all folders are, made for a whole folder of files at once."""

from collections.abc import Collection, Mapping

from activelabel.data.files.many.path_set import Names
from activelabel.data.files.many.path_table import PathTable, TextColumn, are_apart, fold_numbers, is_rising
from activelabel.data.files.names import BETWEEN_FOLDERS, LONGEST_ID, MOST_USED, first_id, spelt, stem_of


def plain_table(names: Names, known: Mapping[str, str]) -> PathTable | None:
    """The files by the first ids that their paths may give, if each may have it; else None.

    Args:
        names: those in each folder, see `PathSet.by_folder`.
        known: files by the ids that they keep.
    """
    known = PathTable.of(known)
    known.are_plain = known.are_plain or _are_plain(known)
    if not known.are_plain:
        return None
    parts = [_Part(start, together) for start, together in names.items()]
    parts.sort(key=lambda part: part.first)
    # With a NUL the last id comes after the first also in a folder of one.
    if is_rising(end for part in parts for end in (part.first, f"{part.last}\0")):
        columns = b"".join(part.ids for part in parts), b"".join(part.paths for part in parts)
        table = PathTable(*map(TextColumn, columns))
    else:  # the ids of a folder come between those of another
        pairs = sorted(pair for part in parts for pair in zip(_texts(part.ids), _texts(part.paths), strict=True))
        table = PathTable(TextColumn.of(text for text, _ in pairs), TextColumn.of(path for _, path in pairs))
    if table == known:
        return known
    table.are_plain = table.ids.longest() <= LONGEST_ID and are_apart(fold_numbers(table.ids))
    return table if table.are_plain else None


def with_changes(
    files: Mapping[str, str], known: Mapping[str, str], came: Collection[str], gone: Collection[str]
) -> PathTable | None:
    """The files after these paths came and went, if each may have the first id that its path may give; else None.

    `known` are files by the ids that they keep, beside `files` those that came meanwhile.
    """
    if not (isinstance(files, PathTable) and isinstance(known, PathTable) and files.are_plain and known.are_plain):
        return None
    new, old = ({first_id(path): path for path in paths} for paths in (came, gone))
    if len(old) < len(gone) or any(files.get(image_id) != path for image_id, path in old.items()):
        return None
    left = files.changed({}, old)
    if len(new) < len(came) or not are_apart(fold_numbers(new)) or left.folds_of(new).any():
        return None
    return left.changed(new, (), are_plain=True)


def _are_plain(files: PathTable) -> bool:
    return all(image_id == first_id(path) for image_id, path in files.pairs()) and are_apart(fold_numbers(files))


class _Part:
    """The files of one folder, sorted by id: their ids and paths, each followed by a NUL."""

    def __init__(self, start: str, together: str) -> None:
        before, files = spelt(start.replace("/", BETWEEN_FOLDERS)), together.split("\0")
        stems = together.removesuffix(MOST_USED).split(f"{MOST_USED}\0")
        if len(stems) < len(files) or not together.endswith(MOST_USED):
            stems = [stem_of(name) for name in files]
        if not together.isascii():
            stems = [spelt(stem) for stem in stems]
        # Names come otherwise where some begin as others, as `a-b.nii.gz` before `a.nii.gz`, or are spelt otherwise.
        if not is_rising(stems):
            pairs = sorted(zip(stems, files, strict=True))
            stems, files = [stem for stem, _ in pairs], [name for _, name in pairs]
        self.first, self.last = before + stems[0], before + stems[-1]
        self.ids, self.paths = _packed(before, stems), _packed(start, files)


def _packed(before: str, texts: list[str]) -> bytes:
    """The texts, each after the same beginning and followed by a NUL."""
    return f"{before}{f'{chr(0)}{before}'.join(texts)}\0".encode()


def _texts(packed: bytes) -> list[str]:
    return packed.decode().split("\0")[:-1]
