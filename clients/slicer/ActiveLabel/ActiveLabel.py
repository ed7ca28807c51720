"""The module `ActiveLabel` of 3D Slicer: annotate what the server asks for.

This file joins the parts with Slicer's window: it is the only one that needs Slicer itself. All that it decides is
where files lie and which widget a person draws with.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import qSlicerSegmentationsModuleWidgetsPythonQt
import qt
import slicer
import slicer.util
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

from ActiveLabelLib.panel.editor_switch import EditorSwitch
from ActiveLabelLib.panel.panel import Panel
from ActiveLabelLib.scene import SlicerScene
from ActiveLabelLib.session.errands import Errands, on_window
from ActiveLabelLib.session.session import Session

HELP = (
    "Opens the case, and the slice, from which the model learns most, and sends what is drawn to an activelabel server."
)
REMEMBERED = ("address", "name", "certificate")


class ActiveLabel(ScriptedLoadableModule):
    """What Slicer's list of modules says about the module."""

    def __init__(self, parent: slicer.qSlicerScriptedLoadableModule) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "ActiveLabel"
        parent.categories = ["Active Learning"]
        parent.dependencies = ["Segmentations"]
        parent.contributors = ["the authors of activelabel"]
        parent.helpText = HELP
        parent.acknowledgementText = "Apache-2.0"


class ActiveLabelWidget(ScriptedLoadableModuleWidget):
    """The module's panel in Slicer's window."""

    def setup(self) -> None:
        """Make the panel, once."""
        ScriptedLoadableModuleWidget.setup(self)
        # Images of patients lie here, and another Slicer has a folder of its own.
        folder = Path(tempfile.mkdtemp(prefix="ActiveLabel-", dir=str(slicer.app.temporaryPath)))
        self._work_folder = folder
        self._scene = SlicerScene(slicer.mrmlScene, slicer.app.applicationLogic())
        errands = Errands()
        self._session = Session(
            on_window(self._scene, errands),
            Path(str(slicer.app.slicerUserSettingsFilePath)).parent / "ActiveLabel",
            folder,
        )
        self._editor = qSlicerSegmentationsModuleWidgetsPythonQt.qMRMLSegmentEditorWidget()
        self._editor.setMaximumNumberOfUndoStates(20)
        self._editor.setSegmentationNodeSelectorVisible(False)
        self._editor.setSwitchToSegmentationsButtonVisible(False)
        self._switch = EditorSwitch(self._editor)
        self._choose_parameters()
        self._editor.setMRMLScene(slicer.mrmlScene)
        self._panel = Panel(
            self._session,
            errands,
            _confirm,
            self._show_case,
            self._switch.let_draw,
            _remember,
            _remembered(),
            folder,
            self._editor,
        )
        self.layout.addWidget(self._panel.widget)
        self._observed = slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, self._scene_closes)

    def enter(self) -> None:
        """Take the editor's keys when the module is shown, and show effects that were added since Slicer began."""
        self._switch.show(True)
        self._editor.updateEffectList()

    def exit(self) -> None:
        """Give the editor's keys back, and stop drawing, when another module is shown."""
        self._switch.show(False)
        self._editor.removeViewObservations()

    def cleanup(self) -> None:
        """Keep what is unsaved when Slicer closes, and remove what was downloaded."""
        self._panel.close()
        shutil.rmtree(self._work_folder, ignore_errors=True)
        slicer.mrmlScene.RemoveObserver(self._observed)

    def _scene_closes(self, *_: object) -> None:
        """Keep what is unsaved before the scene loses it."""
        self._panel.leave()

    def _show_case(self) -> None:
        """Draw in the segmentation of the open case."""
        self._choose_parameters()
        self._switch.stop()
        self._editor.setSegmentationNode(self._scene.segmentation)
        if hasattr(self._editor, "setSourceVolumeNode"):
            self._editor.setSourceVolumeNode(self._scene.volume)
        else:  # before Slicer 5.2
            self._editor.setMasterVolumeNode(self._scene.volume)

    def _choose_parameters(self) -> None:
        """Give the editor a node for its settings, which a closed scene has lost."""
        tag = "ActiveLabel"
        node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.vtkMRMLSegmentEditorNode()
            node.SetSingletonTag(tag)
            node = slicer.mrmlScene.AddNode(node)
        self._editor.setMRMLSegmentEditorNode(node)


class ActiveLabelLogic(ScriptedLoadableModuleLogic):
    """Slicer looks for a class of this name; the logic is in `ActiveLabelLib`."""


class ActiveLabelTest(ScriptedLoadableModuleTest):
    """Slicer looks for a class of this name; the tests are in the project's folder `tests/clients/slicer`."""

    def runTest(self) -> None:
        """Say where the tests are."""
        self.delayDisplay("The tests of this module run outside Slicer: tests/clients/slicer")


def _confirm(question: str) -> bool:
    return bool(slicer.util.confirmYesNoDisplay(question, "ActiveLabel"))


def _remember(entered: Mapping[str, str]) -> None:
    settings = qt.QSettings()
    for key in REMEMBERED:
        settings.setValue(f"ActiveLabel/{key}", entered.get(key, ""))


def _remembered() -> dict[str, str]:
    settings = qt.QSettings()
    return {key: str(settings.value(f"ActiveLabel/{key}") or "") for key in REMEMBERED}
