from typing import Any

import numpy as np
import vtk

def vtk_to_numpy(array: vtk.vtkDataArray) -> np.ndarray[Any, Any]: ...
def numpy_to_vtk(array: np.ndarray[Any, Any], deep: bool = ...) -> vtk.vtkDataArray: ...
