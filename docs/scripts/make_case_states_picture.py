"""Draws docs/pictures/case_states.svg from the state machine of `store.case_states`.

python docs/scripts/make_case_states_picture.py

Above: the states, and the usual ways between them. Below: every event, in which states it is allowed and which may
follow. An arrow that the machine does not know stops the script.
"""

import argparse
from collections.abc import Iterator
from html import escape
from pathlib import Path

from activelabel.store.case_states import MOVES, CaseEvent, CaseState

PICTURE = Path(__file__).parents[1] / "pictures" / "case_states.svg"
WIDTH, BOX, TALL = 1260, 150, 40
PLACES: dict[CaseState, tuple[int, int]] = {
    CaseState.UNSEEN: (20, 110),
    CaseState.LEASED: (255, 110),
    CaseState.FINISHED: (490, 110),
    CaseState.IN_REVIEW: (725, 110),
    CaseState.APPROVED: (960, 110),
    CaseState.SKIPPED: (20, 20),
    CaseState.CANNOT: (255, 20),
    CaseState.DRAFT: (255, 200),
    CaseState.PARTLY: (490, 20),
    CaseState.RETURNED: (725, 200),
}
"""The left upper corner of each state's box."""
ARROWS: tuple[tuple[CaseState, CaseEvent, CaseState], ...] = (
    (CaseState.UNSEEN, CaseEvent.ASK, CaseState.LEASED),
    (CaseState.LEASED, CaseEvent.FINISH, CaseState.FINISHED),
    (CaseState.FINISHED, CaseEvent.TAKE_FOR_REVIEW, CaseState.IN_REVIEW),
    (CaseState.IN_REVIEW, CaseEvent.APPROVE, CaseState.APPROVED),
    (CaseState.IN_REVIEW, CaseEvent.RETURN, CaseState.RETURNED),
    (CaseState.RETURNED, CaseEvent.FINISH, CaseState.FINISHED),
    (CaseState.LEASED, CaseEvent.SKIP, CaseState.SKIPPED),
    (CaseState.LEASED, CaseEvent.SET_ASIDE, CaseState.CANNOT),
    (CaseState.LEASED, CaseEvent.KEEP_DRAFT, CaseState.DRAFT),
    (CaseState.DRAFT, CaseEvent.FINISH, CaseState.FINISHED),
    (CaseState.LEASED, CaseEvent.FINISH_PART, CaseState.PARTLY),
)
"""The usual ways; all others are in the table below."""
COLOURS = {
    CaseState.FINISHED: "#e3f0e3", CaseState.APPROVED: "#bfe0bf", CaseState.IN_REVIEW: "#e6e3f5",
    CaseState.RETURNED: "#f8e2c4", CaseState.CANNOT: "#f0d9d9",
}  # fmt: skip
TABLE_TOP, ROW, FIRST, COLUMN = 300, 26, 200, 66


def picture() -> str:
    """The picture as SVG.

    Raises:
        ValueError: an arrow is no move of the machine.
    """
    height = TABLE_TOP + 76 + ROW * len(CaseEvent) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#667"/></marker>',
        *(_arrow(*arrow) for arrow in ARROWS),
        *(_box(state) for state in CaseState),
        *_table(),
        _text(20, height - 14, "● allowed in this state   ○ may follow   ◉ both", 13),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(state: CaseState) -> str:
    left, top = PLACES[state]
    fill = COLOURS.get(state, "#eef2f7")
    return (
        f'<rect x="{left}" y="{top}" width="{BOX}" height="{TALL}" rx="6" fill="{fill}" stroke="#8a94a6"/>'
        f'<text x="{left + BOX / 2}" y="{top + 25}" font-size="14" text-anchor="middle">{escape(state)}</text>'
    )


def _arrow(source: CaseState, event: CaseEvent, target: CaseState) -> str:
    """From one box to another, with the name of the event at its middle."""
    move = MOVES[event]
    if source not in move.sources or target not in move.targets:
        raise ValueError(f"{source} → {event} → {target}: the machine has no such move")
    (left, top), (to_left, to_top) = PLACES[source], PLACES[target]
    start, end = _edges(left, top, to_left, to_top)
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 5)
    return (
        f'<line x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}" stroke="#667" marker-end="url(#tip)"/>'
        + _text(*middle, event, 11, "middle", "#445")
    )


def _edges(left: int, top: int, to_left: int, to_top: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow leaves a box and where it reaches another: at sides in one row or to another column."""
    if left == to_left:
        x = left + BOX / 2
        return ((x, top + TALL), (x, to_top)) if top < to_top else ((x, top), (x, to_top + TALL))
    if left < to_left:
        return (left + BOX, top + TALL / 2), (to_left, to_top + TALL / 2)
    return (left, top + TALL / 2), (to_left + BOX, to_top + TALL / 2)


def _table() -> Iterator[str]:
    """Every event with its states, who may cause it, and the least role."""
    for number, state in enumerate(CaseState):
        x = FIRST + COLUMN * number + COLUMN / 2
        yield (
            f'<text transform="translate({x},{TABLE_TOP + 66}) rotate(-35)" font-size="12" fill="#223">'
            f"{escape(state)}</text>"
        )
    who = FIRST + COLUMN * len(CaseState) + 16
    for row, event in enumerate(CaseEvent):
        move, y = MOVES[event], TABLE_TOP + 92 + ROW * row
        if row % 2 == 0:
            yield f'<rect x="14" y="{y - 17}" width="{WIDTH - 28}" height="{ROW}" fill="#f4f6f9"/>'
        yield _text(20, y, event, 13)
        for number, state in enumerate(CaseState):
            mark = {(True, True): "◉", (True, False): "●", (False, True): "○"}.get(
                (state in move.sources, state in move.targets), ""
            )
            yield _text(FIRST + COLUMN * number + COLUMN / 2, y, mark, 13, "middle")
        yield _text(who, y, f"{move.least}: {move.who}", 11, colour="#445")


def _text(x: float, y: float, text: str, size: int, anchor: str = "start", colour: str = "#112") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    PICTURE.write_text(picture(), encoding="utf-8")
