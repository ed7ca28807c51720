"""The offsets at which 3D Slicer shows the slices of an image, by its own slice views without a window."""

import nibabel
import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

_PRESETS = {"axial": "Axial", "sagittal": "Sagittal", "coronal": "Coronal"}


def slice_offsets_mm(
    shape: tuple[int, int, int], affine: NDArray[np.float64], axis: int, plane: str
) -> NDArray[np.float64]:
    """Return the offset that Slicer's slider for `plane` shows at the middle of each slice of an image along `axis`.

    The view is turned to the image's own planes, as Slicer's button *rotate to volume plane* does.
    """
    scene = slicer.vtkMRMLScene()
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    voxels = vtk.vtkImageData()
    voxels.SetDimensions(*shape)
    voxels.AllocateScalars(vtk.VTK_SHORT, 1)
    volume.SetAndObserveImageData(voxels)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(affine.ravel().tolist())
    volume.SetIJKToRASMatrix(matrix)
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    view.SetOrientation(_PRESETS[plane])
    view.RotateToVolumePlane(volume)
    offsets = []
    for index in range(shape[axis]):
        middle = (np.array(shape) - 1) / 2
        middle[axis] = index
        view.JumpSlice(*nibabel.affines.apply_affine(affine, middle))
        offsets.append(view.GetSliceOffset())
    return np.array(offsets)
