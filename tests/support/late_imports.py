"""Lets large packages be imported when something of them is used: each worker of a run imports all files of tests."""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


def import_late(*names: str) -> None:
    """Let `import name` only make a stand-in, unless the package is imported already or is not installed."""
    for name in names:
        if name not in sys.modules and importlib.util.find_spec(name) is not None:
            sys.modules[name] = _Late(name)


def import_slicer_late() -> None:
    """Import Slicer's packages late; `vtk.util` is found without a whole import of `vtk`."""
    import_late("slicer", "vtk")
    if importlib.util.find_spec("vtkmodules") is not None:
        sys.modules.setdefault("vtk.util", importlib.import_module("vtkmodules.util"))


class _Late(ModuleType):
    """A stand-in for a package, which it imports at the first use of something that is in it.

    Python's own `LazyLoader` also does so where `inspect` looks for the file of any module.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest and `inspect` ask every module for some of these
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
