"""Avoids imports of MONAI that neither a server, nor its children, nor a command needs.

Each training, each scoring, each run of a simulation and each command is a process of its own, whose start was mostly
spent on imports: `monai/__init__` imports all of its modules and runs each twice, and tries every optional package.
"""

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

NOT_NEEDED = frozenset(
    {
        "bs4", "cucim", "cupy", "fire", "gdown", "girder_client", "ignite", "IPython", "itk", "lmdb", "matplotlib",
        "mlflow", "nni", "onnx", "onnxruntime", "openslide", "optuna", "pandas", "pynvml", "scipy", "skimage",
        "sklearn", "tensorboard", "tifffile", "torchvision", "transformers", "zarr",
    }
)  # fmt: skip
"""Optional packages of MONAI that nothing here uses through MONAI, nor do its networks for 3D segmentation."""

NOT_NEEDED_BY_TASKS = NOT_NEEDED | {"requests"}


def import_monai(without: Collection[str] = NOT_NEEDED) -> None:
    """Import MONAI without its import of all modules, as if these optional packages were not installed.

    Its modules are then imported on demand. MONAI notes missing packages at its import, and raises an error when one is
    used; other code can still import these packages.
    """
    import_monai_lean(without)
    import monai  # noqa: F401


def import_monai_lean(without: Collection[str] = NOT_NEEDED) -> None:
    """Let the first `import monai` of this process be that of `import_monai`; one that has been is left as it is."""
    if "monai" not in sys.modules:
        earlier = [finder for finder in sys.meta_path if isinstance(finder, _MonaiFinder)]
        sys.meta_path[:] = [_MonaiFinder(without), *(finder for finder in sys.meta_path if finder not in earlier)]


class _Later(ModuleType):
    """A module that is imported when somebody first asks for something in it."""

    def __getattr__(self, name: str) -> object:
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def imported_later(packages: Collection[str]) -> Iterator[None]:
    """Let modules that are imported now have these packages only when they use them; all others get them as ever."""
    later = {package: _Later(package) for package in packages if package not in sys.modules}
    sys.modules.update(later)
    try:
        yield
    finally:
        for package in later:
            del sys.modules[package]


@contextmanager
def absent(packages: Collection[str]) -> Iterator[None]:
    """Refuse to import these packages, as Python does if they are not installed; modules imported before stay."""
    finder = _Absent(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Absent(MetaPathFinder):
    def __init__(self, packages: Collection[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{fullname} is not imported in this process", name=fullname)
        return None


class _MonaiFinder(MetaPathFinder):
    """Finds MONAI once, with a loader of its own."""

    def __init__(self, without: Collection[str]) -> None:
        self._without = without

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "monai":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _LeanLoader(spec.loader, self._without)
        return spec


class _LeanLoader(Loader):
    """A loader of MONAI that runs its `__init__` while `pkgutil` finds no modules, then imports what is used of it."""

    def __init__(self, loader: Loader, without: Collection[str]) -> None:
        self._loader = loader
        self._without = without

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with absent(self._without):
            with _no_walk():
                self._loader.exec_module(module)
            import monai.apps  # noqa: F401  # first, as the circular imports of `monai.data` and `monai.transforms` need this order
            import monai.bundle  # noqa: F401  # the host's own modules import it
            import monai.inferers  # noqa: F401
            import monai.networks.nets  # noqa: F401
            import monai.transforms  # noqa: F401


@contextmanager
def _no_walk() -> Iterator[None]:
    walk = pkgutil.walk_packages
    pkgutil.walk_packages = lambda *_, **__: iter(())
    try:
        yield
    finally:
        pkgutil.walk_packages = walk
    sys.modules["monai.utils.module"].walk_packages = walk  # type: ignore[attr-defined]  # it has imported our replacement
