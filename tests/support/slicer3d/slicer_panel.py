"""The panel of our module for 3D Slicer without Slicer: Qt draws it off screen, and `slicer-core` has the scene.

A person's clicks are clicks on the real buttons, and are counted.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel
import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util import numpy_support

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
from PySide6 import QtCore, QtGui, QtWidgets  # the platform is read at the import


class QtAsInSlicer(ModuleType):
    """Qt as one module, as Slicer has it."""

    def __getattr__(self, name: str) -> Any:
        for part in (QtWidgets, QtGui, QtCore):
            if hasattr(part, name):
                return getattr(part, name)
        raise AttributeError(name)


sys.modules.setdefault("qt", QtAsInSlicer("qt"))
from ActiveLabelLib.panel.panel import Panel  # noqa: E402  # it imports `qt`
from ActiveLabelLib.scene import SlicerScene  # noqa: E402
from ActiveLabelLib.server.server import connect  # noqa: E402
from ActiveLabelLib.session.errands import Errands, on_window  # noqa: E402
from ActiveLabelLib.session.session import Session  # noqa: E402

PATIENCE_SECONDS = 60.0


def new_scene() -> Any:
    """Return a scene with the three slice views that Slicer opens with."""
    scene = slicer.vtkMRMLScene()
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    for name in ("Red", "Green", "Yellow"):
        scene.AddNewNodeByClass("vtkMRMLSliceNode", name).SetLayoutName(name)
        scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode", name).SetLayoutName(name)
    return scene


class PanelOnScreen:
    """A person before the panel.

    Attributes:
        clicks: how often they have clicked.
        questions: what the panel has asked them.
        agrees: what they answer.
        may_draw: whether the editor lets them draw.
        now: the session's clock, in seconds.
    """

    def __init__(self, folder: Path, make_server: Callable[..., Any] = connect, **entered: str) -> None:
        self.folder = folder
        self.application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
        self.clicks = 0
        self.questions: list[str] = []
        self.agrees = True
        self.may_draw = True
        self.remembered: dict[str, str] = {}
        self.now = 0.0
        self.scene = SlicerScene(new_scene())
        self.errands = Errands()
        self.session = Session(
            on_window(self.scene, self.errands), folder / "unsent", folder / "work", make_server, lambda: self.now
        )
        (folder / "work").mkdir(parents=True, exist_ok=True)
        editor = QtWidgets.QLabel("Slicer's Segment Editor is here")
        editor.setStyleSheet("border: 1px dashed #999999; color: #777777; padding: 12px")
        self.panel = Panel(
            self.session,
            self.errands,
            self._agree,
            lambda: None,
            self._let_draw,
            self.remembered.update,
            entered,
            folder / "work",
            editor,
        )
        self.panel._timer.stop()  # the tests say when a second is over

    def _agree(self, question: str) -> bool:
        self.questions.append(question)
        return self.agrees

    def _let_draw(self, allowed: bool) -> None:
        assert allowed != self.may_draw, "it is told when it changes"
        self.may_draw = allowed

    def click(self, name: str) -> None:
        """Click on a button, which must be enabled, and wait for what comes of it."""
        self.begin(name)
        self.let_end()

    def begin(self, name: str) -> None:
        """Click on a button, which must be enabled, and wait for nothing."""
        button = self._find(QtWidgets.QPushButton, name)
        assert button.isEnabled(), f"'{name}' is grey: {self.line}"
        self.clicks += 1
        button.click()

    def let_end(self) -> None:
        """Wait until everything that was asked for has ended."""
        self.wait_until(lambda: not self.panel._doing.busy)

    def wait_until(self, has_come: Callable[[], bool]) -> None:
        """Let the window go on until something has come."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not has_come():
            assert time.monotonic() < until, f"it does not come: {self.line}"
            self.panel._doing.poll()

    def is_enabled(self, name: str) -> bool:
        return bool(self._find(QtWidgets.QPushButton, name).isEnabled())

    def is_shown(self, name: str) -> bool:
        """Whether a button would be seen, were the panel on a screen."""
        return not self._find(QtWidgets.QPushButton, name).parentWidget().parentWidget().isHidden()

    def press(self, key: str) -> None:
        """Press a key, and wait for what comes of it."""
        self.begin_to_press(key)
        self.let_end()

    def begin_to_press(self, key: str) -> None:
        """Press a key, and wait for nothing."""
        (shortcut,) = (
            one for one in self.panel.widget.findChildren(QtGui.QShortcut) if one.key() == QtGui.QKeySequence(key)
        )
        shortcut.activated.emit()

    def write(self, hint: str, text: str) -> None:
        self._find(QtWidgets.QLineEdit, hint).setText(text)

    def written(self, hint: str) -> str:
        """Return the text of a field."""
        return str(self._find(QtWidgets.QLineEdit, hint).text())

    def choose(self, name: str, text: str) -> None:
        """Choose a text of a list."""
        box = self._find(QtWidgets.QComboBox, name)
        box.setCurrentText(text)
        box.activated.emit(box.currentIndex())
        self.let_end()

    def slide(self, percent: int) -> None:
        """Set how strongly the uncertainty is shown, and wait until it is."""
        self.begin_to_slide(percent)
        self.let_end()

    def begin_to_slide(self, percent: int) -> None:
        """Set how strongly the uncertainty is shown, and wait for nothing."""
        self._find(QtWidgets.QSlider, "opacity").setValue(percent)

    def wait(self, seconds: int) -> None:
        """Let seconds pass, as the panel's timer counts them."""
        for _ in range(seconds):
            self.now += 1.0
            self.panel.tick()
            self.let_end()

    @property
    def line(self) -> str:
        """What the panel says last."""
        return str(self.panel._doing.status.text())

    @property
    def case_line(self) -> str:
        return str(self.panel._case_text.text())

    def show_tab(self, number: int) -> None:
        self.clicks += 1
        self.panel._tabs.widget.setCurrentIndex(number)
        self.let_end()

    def worklist(self) -> list[tuple[str, ...]]:
        table = self.panel._tabs._worklist
        return [tuple(table.item(row, column).text() for column in range(5)) for row in range(table.rowCount())]

    def picture(self, file: Path, width: int = 420) -> None:
        """Draw the panel into a file."""
        self.panel.widget.resize(width, self.panel.widget.sizeHint().height())
        assert self.panel.widget.grab().save(str(file))

    def tabs_picture(self, file: Path) -> None:
        """Draw the part with the tabs into a file."""
        self.panel.widget.resize(560, self.panel.widget.sizeHint().height())
        assert self.panel._tabs.widget.grab().save(str(file))

    def _find(self, kind: Callable[..., Any], name: str) -> Any:
        found = self.panel.widget.findChild(kind, name)
        assert found is not None, name
        return found

    def paint(self, name: str, voxels: NDArray[np.bool_], affine_ras: NDArray[np.float64]) -> None:
        """Draw a structure: `voxels` (W, H, D) in the order of the image's file, which Slicer may turn round."""
        assert self.scene.volume is not None
        matrix = vtk.vtkMatrix4x4()
        self.scene.volume.GetIJKToRASMatrix(matrix)
        to_ras = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
        places = nibabel.affines.apply_affine(np.linalg.solve(to_ras, affine_ras), np.argwhere(voxels))
        drawn = np.zeros(self.scene.volume.GetImageData().GetDimensions(), np.uint8)
        drawn[tuple(np.rint(places).astype(int).T)] = 1
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(*drawn.shape)
        # VTK's first axis runs fastest.
        image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(drawn.ravel(order="F"), deep=True))
        image.SetGeometryFromImageToWorldMatrix(matrix)
        node = self.scene.segmentation
        segment = node.GetSegmentation().GetSegmentIdBySegmentName(name)
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        assert logic.SetBinaryLabelmapToSegment(image, node, segment)
