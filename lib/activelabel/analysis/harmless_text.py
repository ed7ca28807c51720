"""Names of cases, labels and annotators come from others: made harmless for pages, spreadsheets, figures and logs."""

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # A server's child processes do not need this import.
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    r"""The text with invisible and direction-changing characters as codes: U+202E becomes `\\u202e`.

    Line breaks and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(character if _is_plain(character) else _code(character) for character in text)


def in_one_line(text: str) -> str:
    r"""The text with line breaks and tabs as codes too: a line break becomes `\\x0a`."""
    return "".join(character if character.isprintable() else _code(character) for character in text)


def printed(value: object) -> object:
    """The value as a template prints it: a text is made visible, unless it is HTML already."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def safe_for_spreadsheets(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with a `'` before each text that a spreadsheet would run as a formula."""
    texts = {name: table[name].map(no_formula) for name in table.select_dtypes(exclude="number").columns}
    return table.assign(**texts).rename(columns=no_formula)


def no_formula(cell: object) -> object:
    r"""The cell, with a `'` before a text that a spreadsheet would run as a formula, and NUL as the code `\\x00`.

    Spreadsheets end a text at a NUL, and Python before 3.11 neither writes it to a table nor reads it.
    """
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\0", _code("\0"))
    return f"'{text}" if text.startswith(_FORMULA) else text


def _is_plain(character: str) -> bool:
    return character in "\n\t" or character.isprintable() or unicodedata.category(character) == "Zs"


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"
