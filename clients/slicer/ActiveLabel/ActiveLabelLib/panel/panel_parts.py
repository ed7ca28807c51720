"""Widgets of the panel, made so that the same lines run with Slicer's Qt and with any other.

Slicer's Qt reads `edit.text` where others read `edit.text()`: `QObject.property` is the same in all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import qt


def text_of(edit: qt.QLineEdit) -> str:
    """What is written in a line."""
    return str(edit.property("text") or "").strip()


def button(text: str, action: Callable[[], None], tip: str = "", key: str = "") -> qt.QPushButton:
    """A button with its action, and the key that does the same."""
    made = qt.QPushButton(text)
    made.setObjectName(text)
    made.setToolTip(f"{tip} (key {key})" if key else tip)
    made.clicked.connect(lambda *_: action())
    return made


def line(hint: str, *, hidden: bool = False) -> qt.QLineEdit:
    """A line to write in."""
    made = qt.QLineEdit()
    made.setPlaceholderText(hint)
    made.setObjectName(hint)
    if hidden:
        made.setEchoMode(qt.QLineEdit.Password)
    return made


def words(text: str = "") -> qt.QLabel:
    """Text that wraps, of which a person can copy parts; it is never taken for HTML, as others have written it."""
    made = qt.QLabel(text)
    made.setTextFormat(qt.Qt.PlainText)
    made.setWordWrap(True)
    made.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
    return made


def row(*widgets: qt.QWidget) -> qt.QWidget:
    """Widgets beside each other."""
    made = qt.QWidget()
    layout = qt.QHBoxLayout(made)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return made


def box(title: str, *widgets: qt.QWidget) -> qt.QGroupBox:
    """Widgets below each other, with a title."""
    made = qt.QGroupBox(title)
    made.setObjectName(title)
    layout = qt.QVBoxLayout(made)
    for widget in widgets:
        layout.addWidget(widget)
    layout.addStretch(1)
    return made


def choice(name: str, texts: Sequence[str], action: Callable[[], None]) -> qt.QComboBox:
    """A list of texts, of which a person chooses one, and what is done when they have."""
    made = qt.QComboBox()
    made.setObjectName(name)
    made.addItems(list(texts))
    made.activated.connect(lambda *_: action())
    return made


def table(heads: Sequence[str]) -> qt.QTableWidget:
    """An empty table that nobody writes in."""
    made = qt.QTableWidget()
    made.setColumnCount(len(heads))
    made.setHorizontalHeaderLabels(list(heads))
    made.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    made.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    made.verticalHeader().hide()
    made.horizontalHeader().setStretchLastSection(True)
    return made


def fill(made: qt.QTableWidget, rows: Sequence[Sequence[str]]) -> None:
    """Write rows into a table."""
    made.setRowCount(len(rows))
    for number, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            made.setItem(number, column, qt.QTableWidgetItem(cell))
