"""The picture of the architecture shows the layers and imports that there are."""

from itertools import pairwise

from make_architecture_picture import (
    BOX,
    CODE,
    PICTURE,
    WIDTH,
    boxes,
    edges,
    layers,
    lines,
    modules,
    picture,
    reduced,
    speaks_host,
)


def test_the_committed_picture_is_what_the_code_is_now() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(), "run python docs/scripts/make_architecture_picture.py"


def test_every_package_is_in_a_layer_and_imports_none_above() -> None:
    rows = layers()
    place = {name: number for number, row in enumerate(rows) for name in row}
    assert {path.parent.name for path in CODE.glob("*/__init__.py")} <= place.keys()
    for name, others in edges(list(place)).items():
        assert all(place[other] >= place[name] for other in others), name


def test_only_the_server_is_drawn_as_what_speaks_the_host() -> None:
    assert [name for row in layers() for name in row if speaks_host(name)] == ["server"]


def test_arrows_that_follow_from_others_are_left_out() -> None:
    assert reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_boxes_of_a_row_lie_beside_each_other_below_what_leads_to_them() -> None:
    placed = boxes(
        [["top"], ["left", "right"], ["of_right", "of_left"]],
        {"top": {"left", "right"}, "left": {"of_left"}, "right": {"of_right"}, "of_left": set(), "of_right": set()},
    )
    assert placed["of_left"].left < placed["of_right"].left
    assert placed["top"].top < placed["left"].top == placed["right"].top < placed["of_left"].top


def test_a_package_has_all_its_files_and_a_module_one() -> None:
    assert [path.name for path in modules("errors")] == ["errors.py"]
    assert {"app.py", "folder.py"} <= {path.name for path in modules("server")}


def test_the_boxes_of_a_layer_have_room_in_its_lines() -> None:
    assert lines("abcdefghij") == ["abc", "defg", "hij"]
    assert lines("abc") == ["abc"]
    rows = [line for row in layers() for line in lines(row)]
    placed = boxes(rows, {name: set() for row in rows for name in row})
    for row in rows:
        lefts = sorted(placed[name].left for name in row)
        assert lefts[0] >= 0
        assert lefts[-1] + BOX <= WIDTH
        assert all(left + BOX <= following for left, following in pairwise(lefts))
