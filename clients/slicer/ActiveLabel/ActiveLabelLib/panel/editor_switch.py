"""The segment editor is off while a case is being left: what is drawn then would be in no file."""

from __future__ import annotations

from typing import Any, Protocol


class Editor(Protocol):
    """What is needed of Slicer's segment editor."""

    def setEnabled(self, enabled: bool) -> None:
        """Let its buttons be pressed, or not."""

    def activeEffect(self) -> Any:
        """The effect with which a person draws; None without one."""

    def setActiveEffect(self, effect: None) -> None:
        """Draw with none."""

    def setActiveEffectByName(self, name: str) -> None:
        """Draw with an effect."""

    def installKeyboardShortcuts(self) -> None:
        """Take the editor's keys."""

    def uninstallKeyboardShortcuts(self) -> None:
        """Give the editor's keys back."""


class EditorSwitch:
    """Switches an editor off and on."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self._shown, self._allowed, self._effect = False, True, ""

    def show(self, shown: bool) -> None:
        """Take the editor's keys while the module is shown; give them back, and stop drawing, while another is."""
        self._shown = shown
        if not shown:
            self.stop()
        self._set_keys()

    def stop(self) -> None:
        """Draw with no effect, also not when the editor is on again."""
        self._effect = ""
        self._editor.setActiveEffect(None)

    def let_draw(self, allowed: bool) -> None:
        """Switch off, with the editor's keys and its effect; switched on again, it goes on with the same effect."""
        if not allowed:
            effect = self._editor.activeEffect()
            self.stop()
            self._effect = "" if effect is None else str(effect.property("name"))
        self._allowed = allowed
        self._editor.setEnabled(allowed)
        self._set_keys()
        if allowed and self._effect:
            self._editor.setActiveEffectByName(self._effect)

    def _set_keys(self) -> None:
        if self._shown and self._allowed:
            self._editor.installKeyboardShortcuts()
        else:
            self._editor.uninstallKeyboardShortcuts()
