"""The steps of Slicer's MONAI Label module for a label, run by Slicer's own logic without a window.

The steps and the sent params are those of the module at 0.8.5 and on its main branch of December 2025: it opens an
image, makes a segmentation on it with a segment for each label, and imports an earlier label into it; it exports a
label from all segments except those that it leaves out, and saves it as a label map.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util import numpy_support

NOT_SENT = ("background", "foreground_scribbles", "background_scribbles")
"""Segments that the module leaves out of a label, by name."""


class SlicerModule:
    """A scene with one image and the module's segmentation of it."""

    def __init__(self, image: Path) -> None:
        self._scene = slicer.vtkMRMLScene()
        self._logic = slicer.vtkSlicerSegmentationsModuleLogic()
        self._logic.SetMRMLScene(self._scene)
        self._volume = self._read(image, "vtkMRMLScalarVolumeNode")
        self._affine_ras = nibabel.load(image).affine
        self._node = self._scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        self._node.SetReferenceImageGeometryParameterFromVolumeNode(self._volume)
        self._segmentation = self._node.GetSegmentation()

    def add_segments(self, names: Iterable[str]) -> None:
        """Add an empty segment for each name that has none, as the module does for each label."""
        for name in names:
            if not self._segmentation.GetSegmentIdBySegmentName(name):
                self._segmentation.AddEmptySegment(name, name, [1.0, 0.0, 0.0])

    def import_label(self, label: Path, names: Sequence[str]) -> None:
        """Import a label as the module opens an `original` label or a prediction."""
        node = self._read(label, "vtkMRMLLabelMapVolumeNode")
        self._logic.ImportLabelmapToSegmentationNode(node, self._node, _strings(n for n in names if n != "background"))
        self._scene.RemoveNode(node)

    def draw(self, name: str, voxels: NDArray[np.bool_]) -> None:
        """Set a segment to `voxels` (W, H, D), in the order of the image's file.

        Slicer turns an axis round where the file's axes are left-handed.
        """
        matrix = vtk.vtkMatrix4x4()
        self._volume.GetIJKToRASMatrix(matrix)
        to_ras = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
        places = nibabel.affines.apply_affine(np.linalg.solve(to_ras, self._affine_ras), np.argwhere(voxels))
        drawn = np.zeros(self._volume.GetImageData().GetDimensions(), np.uint8)
        drawn[tuple(np.rint(places).astype(int).T)] = 1
        label = slicer.vtkOrientedImageData()
        label.SetDimensions(*drawn.shape)
        # VTK's first axis runs fastest.
        label.GetPointData().SetScalars(numpy_support.numpy_to_vtk(drawn.ravel(order="F"), deep=True))
        label.SetGeometryFromImageToWorldMatrix(matrix)
        segment = self._segmentation.GetSegmentIdBySegmentName(name)
        assert self._logic.SetBinaryLabelmapToSegment(label, self._node, segment)

    def export(self, file: Path) -> list[dict[str, Any]]:
        """Write the label that the module would send, and return its `label_info`."""
        sent, info = [], []
        for index in range(self._segmentation.GetNumberOfSegments()):
            segment_id = self._segmentation.GetNthSegmentID(index)
            name = self._segmentation.GetSegment(segment_id).GetName()
            if name not in NOT_SENT:
                sent.append(segment_id)
                info.append({"name": name, "idx": index + 1})
        node = self._scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        assert self._logic.ExportSegmentsToLabelmapNode(self._node, _strings(sent), node, self._volume)
        is_nrrd = file.name.endswith(".nrrd")
        storage = slicer.vtkMRMLNRRDStorageNode() if is_nrrd else slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(file))
        self._scene.AddNode(storage)
        assert storage.WriteData(node)
        self._scene.RemoveNode(node)
        return info

    def _read(self, file: Path, kind: str) -> Any:
        node = self._scene.AddNewNodeByClass(kind)
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(file))
        self._scene.AddNode(storage)
        assert storage.ReadData(node)
        return node


def params_at_0_8_5(label_info: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the params that the module of release 0.8.5 sends with a label."""
    return {"label_info": label_info}


def params_at_main(label_info: list[dict[str, Any]], model: str = "segmentation") -> dict[str, Any]:
    """Return the params that the module has sent since December 2025: also the model chosen in it."""
    return {"label_info": label_info, "model": model}


def _strings(values: Iterable[str]) -> Any:
    array = vtk.vtkStringArray()
    for value in values:
        array.InsertNextValue(value)
    return array
