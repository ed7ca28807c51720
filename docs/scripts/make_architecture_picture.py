"""Draws docs/pictures/architecture.svg: the packages in the layers of pyproject.toml, and who imports whom in the code.

python docs/scripts/make_architecture_picture.py
"""

import argparse
import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

from activelabel.backports import tomllib

ROOT = Path(__file__).parents[2]
CODE = ROOT / "lib" / "activelabel"
PICTURE = Path(__file__).parents[1] / "pictures" / "architecture.svg"
HOST = "monailabel"
WIDTH, ROW, BOX, TALL = 1040, 112, 212, 76
LEGEND = "An arrow means: imports. Arrows that follow from others are left out. Orange: imports MONAI Label."
Edges = dict[str, set[str]]


@dataclass(frozen=True)
class Box:
    """A package, or a module beside the packages, with its place in the picture."""

    name: str
    left: float
    top: float

    @property
    def middle(self) -> float:
        """The middle between left and right."""
        return self.left + BOX / 2


def layers() -> list[list[str]]:
    """The layers of the package as import-linter keeps them, the highest first, without the command's entry point."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    rows = next(contract["layers"] for contract in contracts if contract["name"] == "Imports point one way")
    return [re.split(r"\s*[|:]\s*", row) for row in rows if row != "__main__"]


def modules(name: str) -> list[Path]:
    """The files of a package, or the one of a module."""
    return sorted((CODE / name).rglob("*.py")) if (CODE / name).is_dir() else [CODE / f"{name}.py"]


def imported(file: Path) -> Iterator[str]:
    """Full names of all that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def edges(names: Sequence[str]) -> Edges:
    """Of each package, which others it imports."""
    found: Edges = {}
    for name in names:
        parts = (text.split(".") for file in modules(name) for text in imported(file))
        found[name] = {part[1] for part in parts if part[0] == "activelabel" and len(part) > 1} & set(names) - {name}
    return found


def reduced(edges: Edges) -> Edges:
    """Only those that do not follow from the others, so that a picture can show them."""

    def reach(name: str) -> set[str]:
        return edges[name].union(*(reach(other) for other in edges[name]))

    return {name: direct - set().union(*(reach(other) for other in direct)) for name, direct in edges.items()}


def speaks_host(name: str) -> bool:
    """Whether a package imports MONAI Label."""
    return any(text.split(".")[0] == HOST for file in modules(name) for text in imported(file))


def boxes(rows: Sequence[Sequence[str]], shown: Edges) -> dict[str, Box]:
    """A box for each name, in each row ordered by where those lie from which arrows lead to it."""
    placed: dict[str, Box] = {}

    def wanted(name: str) -> float:
        above = [box.middle for box in placed.values() if name in shown[box.name]]
        return sum(above) / len(above) if above else WIDTH / 2

    for number, row in enumerate(rows):
        gap = (WIDTH - len(row) * BOX) / (len(row) + 1)
        for place, name in enumerate(sorted(row, key=wanted)):
            placed[name] = Box(name, gap + place * (BOX + gap), 20 + number * ROW)
    return placed


def lines(row: Sequence[str]) -> list[Sequence[str]]:
    """A layer in as few lines as have room for its boxes, equally long up to one."""
    count = -(-len(row) // (WIDTH // BOX))
    ends = [round(len(row) * number / count) for number in range(count + 1)]
    return [row[first:end] for first, end in pairwise(ends)]


def picture() -> str:
    """The picture as SVG."""
    rows = [line for row in layers() for line in lines(row)]
    shown = reduced(edges([name for row in rows for name in row]))
    placed = boxes(rows, shown)
    height = 20 + len(rows) * ROW + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#667"/></marker>',
        *(_arrow(placed[name], placed[other]) for name in placed for other in sorted(shown[name])),
        *(_drawn(box) for box in placed.values()),
        f'<text x="20" y="{height - 14}" font-size="13" fill="#445">{LEGEND}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _arrow(above: Box, below: Box) -> str:
    """From the lower edge to the upper one; from the side to one beside it, or to one that is not in the next row."""
    to_right = below.middle >= above.middle
    side, height = (above.left + BOX if to_right else above.left), above.top + TALL / 2
    start, end = (above.middle, above.top + TALL), (below.middle, below.top)
    bend = (end[1] - start[1]) / 2
    bends = (start[0], start[1] + bend), (end[0], end[1] - bend)
    if above.top == below.top:
        start, end = (side, height), (below.left if to_right else below.left + BOX, height)
        bends = start, end
    elif below.top - above.top > ROW and below.middle != above.middle:
        start, out = (side, height), 70 if to_right else -70
        bends = (side + out, height), (end[0], end[1] - 90)
    points = [f"{x:.0f},{y:.0f}" for x, y in (start, *bends, end)]
    curve = f"M{points[0]} C{' '.join(points[1:])}"
    return f'<path d="{curve}" fill="none" stroke="#889" stroke-width="1.4" marker-end="url(#tip)"/>'


def _drawn(box: Box) -> str:
    fill, edge = ("#fde8d0", "#c76b12") if speaks_host(box.name) else ("#e8effa", "#3b66a8")
    said = textwrap.wrap(_about(box.name), 33, max_lines=3, placeholder=" …")
    lines = [_text(box, 37 + 14 * number, line, 'font-size="11"') for number, line in enumerate(said)]
    place = f'x="{box.left:.0f}" y="{box.top}" width="{BOX}" height="{TALL}"'
    frame = f'<rect {place} rx="6" fill="{fill}" stroke="{edge}"/>'
    return "".join([frame, _text(box, 19, box.name, 'font-size="14" font-weight="bold"'), *lines])


def _text(box: Box, down: float, text: str, style: str) -> str:
    return f'<text x="{box.left + 10:.0f}" y="{box.top + down}" {style}>{escape(text)}</text>'


def _about(name: str) -> str:
    file = CODE / name / "__init__.py" if (CODE / name).is_dir() else CODE / f"{name}.py"
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(said.partition("\n\n")[0].replace("`", "").split())


def main() -> None:
    """Draw it."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    PICTURE.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
