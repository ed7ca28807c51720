"""The segment editor is off while a case is being left, and is then as it was."""

from types import SimpleNamespace
from typing import Any

import pytest

from ActiveLabelLib.panel.editor_switch import EditorSwitch


class MadeUpEditor:
    """What a person can do with Slicer's segment editor."""

    def __init__(self) -> None:
        self.enabled, self.keys, self.effect = True, False, ""

    def setEnabled(self, enabled: bool) -> None:
        self.enabled = enabled

    def activeEffect(self) -> Any:
        return SimpleNamespace(property={"name": self.effect}.get) if self.effect else None

    def setActiveEffect(self, effect: None) -> None:
        self.effect = ""

    def setActiveEffectByName(self, name: str) -> None:
        self.effect = name

    def installKeyboardShortcuts(self) -> None:
        self.keys = True

    def uninstallKeyboardShortcuts(self) -> None:
        self.keys = False

    @property
    def now(self) -> tuple[bool, bool, str]:
        return self.enabled, self.keys, self.effect


@pytest.fixture
def editor() -> MadeUpEditor:
    return MadeUpEditor()


@pytest.fixture
def switch(editor: MadeUpEditor) -> EditorSwitch:
    made = EditorSwitch(editor)
    made.show(True)
    editor.effect = "Paint"
    return made


def test_off_it_draws_nothing_and_on_again_it_goes_on_with_the_same_effect(
    switch: EditorSwitch, editor: MadeUpEditor
) -> None:
    assert editor.now == (True, True, "Paint")
    switch.let_draw(False)
    assert editor.now == (False, False, "")
    switch.let_draw(True)
    assert editor.now == (True, True, "Paint")


def test_another_case_begins_with_no_effect(switch: EditorSwitch, editor: MadeUpEditor) -> None:
    switch.let_draw(False)
    switch.stop()
    switch.let_draw(True)
    assert editor.now == (True, True, "")


def test_it_takes_no_keys_while_another_module_is_shown_nor_while_it_is_off(
    switch: EditorSwitch, editor: MadeUpEditor
) -> None:
    switch.let_draw(False)
    switch.show(False)
    switch.let_draw(True)
    assert editor.now == (True, False, "")
    switch.let_draw(False)
    switch.show(True)
    assert editor.now == (False, False, "")
    switch.let_draw(True)
    assert editor.now == (True, True, "")
