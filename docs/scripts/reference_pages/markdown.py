"""Pages and tables in Markdown. A cell that describes something may not be empty."""

from collections.abc import Iterable, Sequence

NOTE = "<!-- Made by docs/scripts/make_reference.py from the code: change it there. -->"


def page(title: str, introduction: str, *parts: str) -> str:
    """A page with its title, an introduction, and its parts below."""
    return "\n\n".join([NOTE, f"# {title}", introduction, *parts]) + "\n"


def section(title: str, *parts: str) -> str:
    """A section with its parts below its title."""
    return "\n\n".join([f"## {title}", *(part for part in parts if part)])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; `header` and each row have the same number of cells.

    Raises:
        ValueError: a row has no name in its first cell, or no description in its last.
    """
    lines = [_line(header), _line(["---"] * len(header))]
    for row in rows:
        if len(row) != len(header) or not row[0].strip() or not row[-1].strip():
            raise ValueError(f"{row[0] or row}: expected {len(header)} cells, none of the first and last empty")
        lines.append(_line(row))
    return "\n".join(lines)


def code(text: object) -> str:
    """The text as code; nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def _line(cells: Sequence[str]) -> str:
    escaped = (" ".join(cell.split()).replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
