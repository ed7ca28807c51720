"""Whether a label was drawn beside the slices that were asked for, and these came back empty: then it is asked back.

A reader who counts otherwise than the one who asked draws on a neighbour, or, where a viewer shows the slices the other
way round, on the mirror image; and what was asked for would be learnt as background, although it holds the organ.
"""

from collections.abc import Callable, Collection, Mapping, Sequence, Set

Move = Callable[[int], int]


def drawn_beside(asked: Collection[int], empty: Set[int], drawn: Set[int], count: int) -> dict[int, int]:
    """For each slice that was asked for and is empty, the drawn one on which somebody who miscounts would have drawn.

    A way of counting is told by a drawing on a slice for which nobody asked. Without one nothing is doubted: an empty
    slice is an answer.

    Args:
        asked: the slices that were asked for.
        empty: those of them on which there would be nothing.
        drawn: where something new is drawn, on any slice.
        count: how many slices the image has.

    Returns:
        From the index asked for to the index drawn on, by the first way of counting that explains it.
    """
    beside: dict[int, int] = {}
    for move in _miscounts(count):
        if any(move(index) in drawn and move(index) not in asked for index in asked):
            for index in sorted(empty):
                if move(index) in drawn:
                    beside.setdefault(index, move(index))
    return beside


def _miscounts(count: int) -> Sequence[Move]:
    """From 1 instead of 0, and the reverse; from the other end, and that from 1."""
    return (
        lambda index: index - 1,
        lambda index: index + 1,
        lambda index: count - 1 - index,
        lambda index: count - index,
        lambda index: count - 2 - index,
    )


MOST_NAMED = 3
"""So many slices a line names."""


def asked_back(image_id: str, beside: Mapping[int, int], name: Callable[[Sequence[int]], str]) -> str:
    """What whoever sent it is told. `name` names slices for people."""
    named = sorted(beside)[:MOST_NAMED]
    more = f" (and {len(beside) - len(named)} more)" if len(beside) > len(named) else ""
    drawn_on = sorted({beside[index] for index in named})
    return (
        f"label of '{image_id}': it is kept, but not learnt from yet: {name(named)}{more} was asked for and came back "
        f"empty, while {name(drawn_on)} was not asked for and is drawn on. Look whether it is the right slice. If it "
        'is meant so, send the same label once more, or with "confirmed": true in its params'
    )
