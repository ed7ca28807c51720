"""What the module shows in Slicer: an image, its segmentation, a map in the foreground, and the slice views.

It uses Slicer's data and its logic, and no window, so that it also runs on the package `slicer-core`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ActiveLabelLib.errors import ClientError

Found = TypeVar("Found")
COLOURS = (
    (0.90, 0.20, 0.20),
    (0.20, 0.75, 0.30),
    (0.25, 0.50, 1.00),
    (1.00, 0.80, 0.10),
    (0.85, 0.35, 0.95),
    (0.10, 0.85, 0.85),
    (1.00, 0.50, 0.10),
    (0.65, 0.90, 0.20),
)
"""Colours of the structures, in the project's order; none is grey, so that all can be seen on CT."""
VIEWS = {"axial": ("Red", "Axial"), "coronal": ("Green", "Coronal"), "sagittal": ("Yellow", "Sagittal")}
"""The view of each plane, and the name of its orientation."""
_HEAT = "vtkMRMLColorTableNodeFileInferno.txt"
_FAINT = 0.05
"""Below this share of the largest value the map is not shown at all."""


class SlicerScene:
    """The nodes of one case in a scene of Slicer."""

    def __init__(self, scene: slicer.vtkMRMLScene, application: slicer.vtkMRMLApplicationLogic | None = None) -> None:
        """Work in `scene`; `application` fits the views to an image, if there are any."""
        self._scene = scene
        self._application = application
        self._logic = slicer.vtkSlicerSegmentationsModuleLogic()
        self._logic.SetMRMLScene(scene)
        self.volume: slicer.vtkMRMLScalarVolumeNode | None = None
        self.segmentation: slicer.vtkMRMLSegmentationNode | None = None
        self._overlay: slicer.vtkMRMLScalarVolumeNode | None = None

    def at_once(self, steps: Callable[[], Found]) -> Found:
        """Do several steps as one: who asks from another thread has them all done in one go."""
        return steps()

    def open_image(self, file: Path, name: str, labels: Sequence[str]) -> None:
        """Show an image, with an empty segment for each label.

        Raises:
            ClientError: Slicer cannot read the image.
        """
        self.clear()
        self.volume = self._read(file, "vtkMRMLScalarVolumeNode", name)
        self.volume.CreateDefaultDisplayNodes()
        node = self._scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{name} drawing")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        for position, label in enumerate(labels):
            node.GetSegmentation().AddEmptySegment(label, label, COLOURS[position % len(COLOURS)])
        self.segmentation = node
        for composite in self._each("vtkMRMLSliceCompositeNode"):
            composite.SetBackgroundVolumeID(self.volume.GetID())
            composite.SetForegroundVolumeID(None)
        for plane in VIEWS:
            self._turn(plane)
        if self._application is not None:
            self._application.FitSliceToBackground()

    def open_label(self, file: Path, values: Mapping[str, int]) -> None:
        """Draw what a label file has, in the stead of what is drawn: each name with its value.

        A name without a segment gets one.

        Raises:
            ClientError: Slicer cannot read the label, or it has a value without a name.
        """
        label = self._read(file, "vtkMRMLLabelMapVolumeNode", "drawing")
        voxels = numpy_support.vtk_to_numpy(label.GetImageData().GetPointData().GetScalars())
        voxels = voxels.reshape(label.GetImageData().GetDimensions()[::-1])
        matrix = vtk.vtkMatrix4x4()
        label.GetIJKToRASMatrix(matrix)
        self._remove(label)
        nameless = set(np.unique(voxels).tolist()) - {0, *values.values()}
        if nameless:
            raise ClientError(f"{file.name}: value {min(nameless):g} is no structure of this project")
        for name, value in values.items():
            self._draw(name, voxels == value, matrix)

    def _draw(self, name: str, drawn: np.ndarray[Any, Any], matrix: vtk.vtkMatrix4x4) -> None:
        """Set a segment to voxels (z, y, x) of the grid with a matrix from voxel to RAS."""
        node = self._drawing()
        segment = node.GetSegmentation().GetSegmentIdBySegmentName(name)
        if not drawn.any():
            if segment and not self._is_empty(segment):
                self._logic.ClearSegment(node, segment)
            return
        if not segment:
            colour = COLOURS[node.GetSegmentation().GetNumberOfSegments() % len(COLOURS)]
            segment = node.GetSegmentation().AddEmptySegment(name, name, colour)
        box = [_span(drawn.any(axis=tuple({0, 1, 2} - {axis}))) for axis in (2, 1, 0)]
        part = drawn[tuple(slice(first, last + 1) for first, last in reversed(box))]
        image = slicer.vtkOrientedImageData()
        image.SetExtent([end for span in box for end in span])
        scalars = numpy_support.numpy_to_vtk(np.ascontiguousarray(part, np.uint8).ravel(), deep=True)
        image.GetPointData().SetScalars(scalars)
        image.SetGeometryFromImageToWorldMatrix(matrix)
        if not self._logic.SetBinaryLabelmapToSegment(image, node, segment):
            raise ClientError(f"Slicer cannot draw '{name}'")

    def write_label(self, file: Path, labels: Sequence[str]) -> None:
        """Write the drawing on the grid of the image: value n is the n-th label, 0 is nothing.

        Raises:
            ClientError: something is drawn in a segment that is no label, or Slicer cannot write the file.
        """
        node, segmentation = self._drawing(), self._drawing().GetSegmentation()
        self._refuse_others(labels)
        found = [(position, segmentation.GetSegmentIdBySegmentName(name)) for position, name in enumerate(labels)]
        drawn = [(position, segment) for position, segment in found if segment]
        known = {colours.GetID() for colours in self._each("vtkMRMLColorTableNode")}
        label = self._scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "label to send")
        try:
            if not slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(
                node, _strings(segment for _, segment in drawn), label, self.volume
            ):
                raise ClientError("Slicer cannot export the segmentation")
            voxels = numpy_support.vtk_to_numpy(label.GetImageData().GetPointData().GetScalars())
            values = np.array([0, *(position + 1 for position, _ in drawn)], voxels.dtype)
            voxels[:] = values[voxels]
            self._write(label, file)
        finally:
            self._remove(label)
            for colours in list(self._each("vtkMRMLColorTableNode")):
                if colours.GetID() not in known:  # Slicer makes a table for each export
                    self._scene.RemoveNode(colours)

    def _refuse_others(self, labels: Sequence[str]) -> None:
        segmentation = self._drawing().GetSegmentation()
        names = [segmentation.GetNthSegment(index).GetName() for index in range(segmentation.GetNumberOfSegments())]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ClientError(f"two segments are called '{name}': merge them, or rename one")
            if name not in labels and not self._is_empty(segmentation.GetNthSegmentID(index)):
                raise ClientError(
                    f"segment '{name}' is no label of this project: rename it to one of {', '.join(labels)}, or "
                    "remove it"
                )

    def _is_empty(self, segment: str) -> bool:
        image = self._labelmap(segment)
        if image is None or image.IsEmpty():
            return True
        value = self._drawing().GetSegmentation().GetSegment(segment).GetLabelValue()
        return not (numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()) == value).any()

    def _labelmap(self, segment: str) -> slicer.vtkOrientedImageData | None:
        """The voxels of a segment, which it may share with others."""
        kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        return self._drawing().GetSegmentation().GetSegment(segment).GetRepresentation(kind)

    def stamp(self) -> Hashable:
        """What changes with every change of the drawing: names of the segments, and when their voxels were changed."""
        if self.segmentation is None:
            return None
        segmentation = self.segmentation.GetSegmentation()
        segments = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
        images = [image for image in map(self._labelmap, segments) if image is not None]
        names = tuple(segmentation.GetSegment(segment).GetName() for segment in segments)
        return names, max((image.GetMTime() for image in images), default=0)

    # Views

    def view_stamp(self) -> Hashable:
        """What changes when somebody scrolls in a view."""
        return tuple(view.GetSliceOffset() for view in self._each("vtkMRMLSliceNode"))

    def show_slice(self, plane: str, position: float) -> None:
        """Show the slice at a position in mm, in the view of its plane, which is turned to the planes of the image."""
        view = self._turn(plane)
        if view is not None:
            view.SetSliceOffset(position)

    def slice_position(self, plane: str) -> float:
        """The position in mm of the slice that the view of a plane shows."""
        view = self._view(plane)
        return 0.0 if view is None else float(view.GetSliceOffset())

    def show_overlay(self, file: Path) -> None:
        """Show a map of numbers from 0 on in the foreground, in colours."""
        self._remove(self._overlay)
        self._overlay = overlay = self._read(file, "vtkMRMLScalarVolumeNode", "uncertainty")
        overlay.CreateDefaultDisplayNodes()
        display = overlay.GetDisplayNode()
        largest = float(overlay.GetImageData().GetScalarRange()[1])
        if self._scene.GetNodeByID(_HEAT) is not None:
            display.SetAndObserveColorNodeID(_HEAT)
        display.SetAutoWindowLevel(0)
        display.SetWindowLevelMinMax(0.0, largest or 1.0)
        display.SetThreshold(_FAINT * largest, largest)
        display.SetApplyThreshold(1)
        for composite in self._each("vtkMRMLSliceCompositeNode"):
            composite.SetForegroundVolumeID(overlay.GetID())

    def set_overlay_opacity(self, share: float) -> None:
        """Show the foreground with an opacity from 0 to 1."""
        for composite in self._each("vtkMRMLSliceCompositeNode"):
            composite.SetForegroundOpacity(share)

    def _turn(self, plane: str) -> slicer.vtkMRMLNode | None:
        """Turn the view of a plane to the planes of the image, as the server counts positions; return it."""
        view = self._view(plane)
        if view is not None and self.volume is not None:
            view.SetOrientation(VIEWS[plane][1])
            view.RotateToVolumePlane(self.volume)
        return view

    def _view(self, plane: str) -> slicer.vtkMRMLNode | None:
        named = {view.GetLayoutName(): view for view in self._each("vtkMRMLSliceNode")}
        return named.get(VIEWS[plane][0])

    # Nodes

    def clear(self) -> None:
        """Remove everything that this module has opened."""
        for node in (self.segmentation, self._overlay, self.volume):
            self._remove(node)
        self.volume = self.segmentation = self._overlay = None

    def _remove(self, node: slicer.vtkMRMLDisplayableNode | None) -> None:
        if node is None or node.GetScene() is None:  # the person may have removed it
            return
        displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
        for display in displays:
            self._scene.RemoveNode(display)
        self._scene.RemoveNode(node)

    def _drawing(self) -> slicer.vtkMRMLSegmentationNode:
        if self.segmentation is None or self.segmentation.GetScene() is None:
            raise ClientError("the segmentation was removed from the scene: open the case anew")
        return self.segmentation

    def _each(self, kind: str) -> Iterator[slicer.vtkMRMLNode]:
        for index in range(self._scene.GetNumberOfNodesByClass(kind)):
            yield self._scene.GetNthNodeByClass(index, kind)

    def _read(self, file: Path, kind: str, name: str) -> slicer.vtkMRMLScalarVolumeNode:
        node, storage = self._scene.AddNewNodeByClass(kind, name), slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(file))
        if not storage.ReadData(node):
            self._scene.RemoveNode(node)
            raise ClientError(f"{file}: Slicer cannot read this file")
        return node

    def _write(self, node: slicer.vtkMRMLScalarVolumeNode, file: Path) -> None:
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(file))
        storage.SetUseCompression(1)
        if not storage.WriteData(node):
            raise ClientError(f"{file}: Slicer cannot write this file: look whether its disk is full")


def _span(filled: np.ndarray[Any, Any]) -> tuple[int, int]:
    """The first and the last index at which a row is true."""
    places = np.flatnonzero(filled)
    return int(places[0]), int(places[-1])


def _strings(values: Iterator[str]) -> vtk.vtkStringArray:
    array = vtk.vtkStringArray()
    for value in values:
        array.InsertNextValue(value)
    return array
