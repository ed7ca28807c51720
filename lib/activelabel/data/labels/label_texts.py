"""Label maps as texts: in settings (`liver=1+2,tumour=2`), and in the ledger and the files of models."""

import re
from collections.abc import Sequence
from dataclasses import replace

from activelabel.data.labels.label_map import IGNORE, LARGEST_VALUE, LabelMap, label_map_of
from activelabel.errors import InvalidInputError

BACKGROUND = "background"
ORDER = "regions_class_order"
"""nnU-Net's name for the values that structures are painted with."""
_RESERVED = (BACKGROUND, IGNORE, ORDER)
_ENTRY = re.compile(r"(?P<name>.*\S)\s*=\s*(?P<values>\d{1,9}(\s*\+\s*\d{1,9})*)")
_MAPPED = ""
"""The first entry of a stored map that is more than names; no name is empty."""


def parse_labels(entries: Sequence[str], origin: str) -> LabelMap:
    """The map of the texts of structures, such as `liver` or `liver=1+2`, and of `ignore=3` and the like.

    Either all structures have values, or none; then the i-th, counted from 1, has value i.

    Raises:
        InvalidInputError: names or values contradict each other; the line begins with `origin`.
    """
    names, values, reserved = list[str](), list[tuple[int, ...]](), dict[str, tuple[int, ...]]()
    plain = [entry.strip() for entry in entries if "=" not in entry]
    for entry in entries:
        found = _ENTRY.fullmatch(entry.strip())
        if found is None and "=" in entry:
            raise InvalidInputError(f"{origin}: '{entry[:80]}' is no name with values; write it like liver=1+2")
        if found is None:
            names.append(entry.strip())
            continue
        numbers = tuple(int(number) for number in found["values"].split("+"))
        if found["name"].casefold() in _RESERVED:
            reserved[found["name"].casefold()] = numbers
        else:
            names.append(found["name"])
            values.append(numbers)
    if values and plain:
        raise InvalidInputError(
            f"{origin}: '{plain[0]}' has no values and others have: give all structures values, like "
            f"{plain[0]}=3, several of them with a plus, like {plain[0]}=3+4"
        )
    found_map = replace(label_map_of(names), values=tuple(values)) if values else label_map_of(names)
    return checked_map(
        replace(
            found_map,
            ignored=reserved.get(IGNORE, ()),
            background=reserved.get(BACKGROUND, ()),
            class_order=reserved.get(ORDER, ()),
        ),
        origin,
    )


def entries_of(labels: Sequence[str]) -> tuple[str, ...]:
    """The texts of a map as `parse_labels` takes them: the names alone where they say all."""
    named = label_map_of(labels)
    if named.is_plain and not any("=" in name for name in named):
        return named.names
    more = {IGNORE: named.ignored, BACKGROUND: named.background, ORDER: named.class_order}
    entries = [
        *zip(named.names, named.values, strict=True),
        *((name, values) for name, values in more.items() if values),
    ]
    return tuple(f"{name}={'+'.join(map(str, values))}" for name, values in entries)


def text_of(labels: Sequence[str]) -> str:
    """A map as one text, as it is written after `--conf labels`."""
    return ",".join(entries_of(labels))


def setting_of(labels: Sequence[str]) -> str:
    """The text that gives these labels again after `--conf labels`, which separates them by commas.

    Raises:
        InvalidInputError: a name has a comma, so that it would be two names.
    """
    with_comma = next((name for name in labels if "," in name), None)
    if with_comma is not None:
        raise InvalidInputError(
            f"label '{with_comma}': settings list labels by commas, so it would be two: rename it where it is named"
        )
    return text_of(labels)


def stored_labels(labels: Sequence[str]) -> list[str]:
    """A map as it is kept in the ledger and in files: a plain one as its names, as they always were."""
    named = label_map_of(labels)
    return list(named.names) if named.is_plain else [_MAPPED, *entries_of(named)]


def read_stored(stored: Sequence[str]) -> LabelMap:
    """The map that `stored_labels` gave, or the names that an earlier version kept.

    Raises:
        InvalidInputError: it is none.
    """
    if isinstance(stored, LabelMap):
        return stored
    if stored[:1] and stored[0] == _MAPPED:
        return parse_labels(stored[1:], "labels")
    return label_map_of(stored)


def checked_map(labels: LabelMap, origin: str) -> LabelMap:
    """The map with its values in order, after a check of names and values.

    Raises:
        InvalidInputError: a name is empty, reserved or comes twice, a value is out of range, or has two meanings that
            exclude each other, or two structures have the same values; the line begins with `origin`.
    """
    _check_names(labels.names, origin)
    in_order = replace(
        labels,
        values=tuple(tuple(sorted(set(values))) for values in labels.values),
        ignored=tuple(sorted(set(labels.ignored))),
        background=tuple(sorted(set(labels.background) - {0})),
    )
    in_order = replace(in_order, class_order=() if _is_own_order(in_order) else in_order.class_order)
    _check_values(in_order, origin)
    return in_order


def _is_own_order(labels: LabelMap) -> bool:
    """Whether a given order says nothing new: structures that exclude each other have one value each."""
    single = all(len(values) == 1 for values in labels.values)
    return single and not labels.overlaps and labels.class_order == tuple(values[0] for values in labels.values)


def _check_names(names: Sequence[str], origin: str) -> None:
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise InvalidInputError(f"{origin}: the label '{sorted(doubled)[0]}' is named twice; give each its own name")
    if not names or "" in names:
        raise InvalidInputError(f"{origin}: expected at least one name and no empty one, got {list(names)}")
    hidden = [name for name in names if not name.isprintable()]
    if hidden:
        raise InvalidInputError(
            f"{origin}: the label {hidden[0]!a} has characters that cannot be shown; name it without them"
        )
    reserved = [name for name in names if name.casefold() in (IGNORE, ORDER)]
    if reserved:
        raise InvalidInputError(
            f"{origin}: '{reserved[0]}' is no structure; it needs values, like {IGNORE}=3 or {ORDER}=1+2"
        )
    structures = [name for name in names if name.casefold() != BACKGROUND]
    if len(structures) < len(names):
        raise InvalidInputError(
            f"{origin} {','.join(names)}: background is value 0 and is never listed: "
            f"--conf labels {','.join(structures) or 'liver'}"
        )


def _check_values(labels: LabelMap, origin: str) -> None:
    taken = {value for values in labels.values for value in values}
    for name, values in [*zip(labels.names, labels.values, strict=True), (IGNORE, labels.ignored)]:
        wrong = [value for value in values if not 1 <= value <= LARGEST_VALUE]
        if wrong:
            raise InvalidInputError(
                f"{origin}: '{name}' has value {wrong[0]}, expected 1 to {LARGEST_VALUE}; 0 is always background"
            )
    for name, values in zip(labels.names, labels.values, strict=True):
        same = labels.names[labels.values.index(values)]
        if same != name:
            raise InvalidInputError(
                f"{origin}: '{same}' and '{name}' have the same values {'+'.join(map(str, values))}: they are one "
                "structure"
            )
    for kind, others in ((IGNORE, labels.ignored), (BACKGROUND, labels.background)):
        both = sorted(taken.intersection(others)) or sorted(set(labels.ignored) & set(labels.background))
        if both:
            raise InvalidInputError(f"{origin}: value {both[0]} is {kind} and something else: it can be one of both")
    _check_order(labels, origin)


def _check_order(labels: LabelMap, origin: str) -> None:
    order = labels.class_order
    if not order:
        return
    if len(order) != len(labels):
        raise InvalidInputError(
            f"{origin}: {ORDER} has {len(order)} values, expected {len(labels)}, one for each structure: "
            f"{', '.join(labels.names)}"
        )
    for name, values, value in zip(labels.names, labels.values, order, strict=True):
        if value not in values:
            raise InvalidInputError(
                f"{origin}: {ORDER} paints '{name}' with value {value}, which is none of its values "
                f"({', '.join(map(str, values))})"
            )
