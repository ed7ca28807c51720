"""Tables and sets of paths hold what dictionaries and sets hold."""

import random
import tracemalloc

import numpy as np
import pytest

from activelabel.data.files.many.path_set import PathSet
from activelabel.data.files.many.path_set import difference as set_difference
from activelabel.data.files.many.path_table import PathTable, TextColumn, difference, only_here_and_there
from activelabel.data.files.many.plain_ids import plain_table, with_changes

NFC, NFD = "M\u00fcller", "Mu\u0308ller"
IDS = ["a", "b", "ab", "é", "B", "zz", "z~", "q1", "q10", "m-"]


def drawn(chance: random.Random, like: dict[str, str]) -> dict[str, str]:
    return {name: chance.choice([like.get(name, "w"), "n", "x" * 3]) for name in IDS if chance.random() < 0.6}


def test_a_table_is_its_dictionary_before_and_after_changes() -> None:
    chance = random.Random(1)
    for _ in range(500):
        before = drawn(chance, {})
        after = before.copy() if chance.random() < 0.3 else drawn(chance, before)
        table, other = PathTable.of(before), PathTable.of(after)
        assert (dict(table), [*table], [*table.values()]) == (
            before,
            sorted(before),
            [*dict(sorted(before.items())).values()],
        )
        assert [name in table for name in IDS] == [name in before for name in IDS]
        came, gone = difference(table, other)
        assert came == {name: path for name, path in after.items() if before.get(name) != path}
        assert gone == before.keys() - after.keys()
        table.folds_of(["a"])
        changed = table.changed(came, gone)
        assert changed == other
        assert dict(changed) == after
        folds = {name.casefold() for name in after}
        assert [*changed.folds_of(IDS)] == [name.casefold() in folds for name in IDS]


def test_what_is_known_of_cases_follows_plain_changes() -> None:
    table = plain_table({"": "B.nii.gz\0a.nii.gz", "p/": "x.nii.gz"}, {})
    assert table is not None
    assert dict(table) == {"B": "B.nii.gz", "a": "a.nii.gz", "p~x": "p/x.nii.gz"}
    assert [*table.folds_of(["A", "b", "c", "P~X"])] == [True, True, False, True]
    changed = with_changes(table, table, ["b.nii.gz"], ["B.nii.gz"])
    assert changed is not None
    assert dict(changed) == {"a": "a.nii.gz", "b": "b.nii.gz", "p~x": "p/x.nii.gz"}
    assert [*changed.folds_of(["B", "c"])] == [True, False]
    assert with_changes(changed, changed, ["A.nii.gz"], []) is None, "an id is to be found"
    assert with_changes(changed, changed, ["a.nrrd"], []) is None
    assert with_changes(changed, PathTable.of({"mine": "a.nii.gz"}), ["c.nii.gz"], []) is None, "not known to be plain"


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ({"": "a.nii\0a.nii.gz"}, {}),
        ({"": "A.nii.gz\0a.nii.gz"}, {}),
        ({"": f"{'x' * 201}.nii.gz"}, {}),
        ({"a/": "b.nii.gz", "": "a~b.nii.gz"}, {}),
        ({"": "a.nii.gz"}, {"mine": "a.nii.gz"}),
        ({"": f"{NFD}.nii.gz\0{NFC}.nii.gz"}, {}),
        ({"": f"{NFC}.nii.gz\0{NFD.upper()}.nii.gz"}, {}),
        ({"": f"{NFD}.nii.gz"}, {NFD: f"{NFD}.nii.gz"}),
    ],
)
def test_ids_that_are_not_simply_paths_are_found_otherwise(names: dict[str, str], known: dict[str, str]) -> None:
    assert plain_table(names, known) is None


def test_ids_are_in_one_spelling_and_sorted_as_such() -> None:
    names = {"": f"{NFD}.nii.gz\0Muz.nii.gz", f"{NFD}/": "e\u0301.nii.gz\0\u00e8.nii.gz"}
    table = plain_table(names, {})
    assert table is not None
    assert [*table.items()] == [
        ("Muz", "Muz.nii.gz"),
        (NFC, f"{NFD}.nii.gz"),
        (f"{NFC}~\u00e8", f"{NFD}/\u00e8.nii.gz"),
        (f"{NFC}~\u00e9", f"{NFD}/e\u0301.nii.gz"),
    ]
    assert all(image_id in table for image_id in table)
    assert plain_table(names, dict(table)) == table, "known by the same ids"
    assert [*table.folds_of([NFD, NFD.upper(), "Muller"])] == [True, True, False]
    came = with_changes(table, table, ["o\u0308.nii.gz"], [f"{NFD}.nii.gz"])
    assert came is not None
    assert (came.get("\u00f6"), came.get(NFC)) == ("o\u0308.nii.gz", None)


def test_only_a_file_that_has_its_first_id_goes_fast() -> None:
    table = PathTable(TextColumn.of(["a"]), TextColumn.of(["a.nii.gz"]), are_plain=True)
    for gone in (["a.nrrd"], ["b.nii.gz"], ["a.nii.gz", "a.nrrd"]):
        assert with_changes(table, table, [], gone) is None
    assert with_changes(table, table, [], ["a.nii.gz"]) == PathTable.of({})


def test_ids_of_folders_may_come_between_those_of_others() -> None:
    """`~` comes after all letters of ASCII, and before others."""
    names = {"": "a.nii.gz\0a-b.nii.gz\0az.nii.gz\0é.nii.gz", "a/": "a.nii.gz\0z.nii.gz", "a/b/": "c.nii.gz"}
    table = plain_table(names, {})
    assert table is not None
    assert [*table] == ["a", "a-b", "az", "a~a", "a~b~c", "a~z", "é"]
    assert table["a~b~c"] == "a/b/c.nii.gz"
    assert plain_table(names, dict(table)) == table, "known by the same ids"


def test_a_set_is_its_python_set_after_each_change() -> None:
    chance, paths, wanted = random.Random(2), PathSet(), set[str]()
    names = [f"{start}{name}" for start in ("", "a/", "a/b/") for name in "xyz"]
    for _ in range(500):
        before, had = paths.by_folder(), wanted.copy()
        for path in chance.sample(names, 3):
            if chance.random() < 0.5:
                paths.add(path)
                wanted.add(path)
            else:
                paths.discard(path)
                wanted.discard(path)
        if chance.random() < 0.2:
            paths.forget(["a/"])
            wanted -= {"a/x", "a/y", "a/z"}
        if chance.random() < 0.2:
            paths.put("a/b/", ["z", "y"])
            wanted = {path for path in wanted if not path.startswith("a/b/")} | {"a/b/y", "a/b/z"}
        assert (set(paths), len(paths)) == (wanted, len(wanted))
        assert set_difference(before, paths.by_folder()) == (wanted - had, had - wanted)


def test_what_is_only_here_and_only_there_is_what_sets_tell_however_the_texts_come() -> None:
    chance = random.Random(3)
    for _ in range(500):
        here = sorted(drawn(chance, {}))
        there = here if chance.random() < 0.3 else sorted(drawn(chance, {}))
        size = chance.randint(1, 4)
        pieces = [there[place : place + size] for place in range(0, len(there), size)]
        new, gone = only_here_and_there(TextColumn.of(here), pieces)
        assert [*new] == [text for text in here if text not in there]
        assert gone == set(there) - set(here)


def test_a_column_without_its_last_end_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        TextColumn(b"a\0b")
    assert np.array_equal(TextColumn(b"a\0bc\0").starts, [0, 2, 5])


def test_an_image_takes_less_than_a_hundred_bytes_and_reading_it_no_more_at_a_time() -> None:
    names = {f"p{part}/": "\0".join(f"case_{part * 1000 + one:06}.nii.gz" for one in range(1000)) for part in range(20)}
    tracemalloc.start()
    table = plain_table(names, {})
    kept, largest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table is not None
    assert kept / len(table) < 100
    assert largest / len(table) < 250
