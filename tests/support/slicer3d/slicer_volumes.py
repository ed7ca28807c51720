"""Images of several channels as 3D Slicer stores them, written by its own library."""

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util import numpy_support


def write_with_slicer(
    channels: NDArray[np.float32], affine_ras: NDArray[np.float64], file: Path, as_sequence: bool
) -> None:
    """Write channels (C, W, H, D) as one vector volume, or as a sequence of volumes."""
    scene = slicer.vtkMRMLScene()
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(affine_ras.ravel().tolist())
    if as_sequence:
        node, kind = scene.AddNewNodeByClass("vtkMRMLSequenceNode"), "vtkMRMLVolumeSequenceStorageNode"
        for place, channel in enumerate(channels):
            node.SetDataNodeAtValue(_volume(scene, "Scalar", channel[..., None], matrix), str(place))
    else:
        node, kind = _volume(scene, "Vector", np.moveaxis(channels, 0, -1), matrix), "vtkMRMLNRRDStorageNode"
    storage = scene.AddNewNodeByClass(kind)
    storage.SetFileName(str(file))
    assert storage.WriteData(node)


def _volume(scene: Any, kind: str, voxels: NDArray[np.float32], matrix: Any) -> Any:
    """A volume node of voxels (W, H, D, values)."""
    values = np.ascontiguousarray(voxels.transpose(2, 1, 0, 3)).reshape(-1, voxels.shape[3])  # VTK's first axis first
    data = vtk.vtkImageData()
    data.SetDimensions(*voxels.shape[:3])
    data.GetPointData().SetScalars(numpy_support.numpy_to_vtk(values, deep=True))
    node = scene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode")
    node.SetAndObserveImageData(data)
    node.SetIJKToRASMatrix(matrix)
    return node
