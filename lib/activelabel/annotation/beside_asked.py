"""Finds drawings beside queried slices that came back empty: such a label is asked back.

A reader who counts slices in another way than the query draws on a neighbouring slice, or on the mirrored slice where a
viewer shows the slices in reverse order. The slice of the query would then be learnt as background, although it holds
the organ.
"""

from collections.abc import Callable, Collection, Mapping, Sequence, Set

Move = Callable[[int], int]
"""From the index of a slice to the one on which a reader who miscounts would draw."""
MOST_NAMED = 3
"""The most slices that a line names."""


def drawn_beside(asked: Collection[int], empty: Set[int], drawn: Set[int], count: int) -> dict[int, int]:
    """For each empty queried slice, the drawn slice on which a reader who miscounts would have drawn.

    A way of miscounting is considered only if it leads to a drawn slice that was not asked for. Without such a slice
    the result is empty: an empty slice is an answer.

    Args:
        asked: the queried slices.
        empty: those of them that would count as empty.
        drawn: the slices on which something new is drawn.
        count: how many slices the image has.

    Returns:
        From the index asked for to the index drawn on, by the first way of miscounting that explains it.
    """
    beside: dict[int, int] = {}
    for move in _miscounts(count):
        if any(move(index) in drawn and move(index) not in asked for index in asked):
            for index in sorted(empty):
                if move(index) in drawn:
                    beside.setdefault(index, move(index))
    return beside


def _miscounts(count: int) -> Sequence[Move]:
    """Wrong ways of counting: from 1 instead of 0 and the reverse; from the other end, from 0 or from 1."""
    return (
        lambda index: index - 1,
        lambda index: index + 1,
        lambda index: count - 1 - index,
        lambda index: count - index,
        lambda index: count - 2 - index,
    )


def asked_back(image_id: str, beside: Mapping[int, int], name: Callable[[Sequence[int]], str]) -> str:
    """The line for the annotator. `name` names slices as their client counts them."""
    named = sorted(beside)[:MOST_NAMED]
    more = f" (and {len(beside) - len(named)} more)" if len(beside) > len(named) else ""
    drawn_on = sorted({beside[index] for index in named})
    return (
        f"label of '{image_id}': it is kept, but not learnt from yet: {name(named)}{more} was asked for and came back "
        f"empty, while {name(drawn_on)} was not asked for and is drawn on. Look whether it is the right slice. If it "
        'is meant so, send the same label once more, or with "confirmed": true in its params'
    )
