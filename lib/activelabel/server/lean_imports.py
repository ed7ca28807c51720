"""Avoids imports of MONAI and the host that the server and its children do not need.

Each training and each scoring is a separate process, whose start was mostly spent on imports: `monai/__init__`
imports all of its modules and runs each twice, and tries every optional package.
"""

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
        "bs4", "cucim", "cupy", "einops", "fire", "gdown", "girder_client", "ignite", "IPython", "itk", "lmdb",
        "matplotlib", "mlflow", "nni", "onnx", "onnxruntime", "openslide", "optuna", "pandas", "pynvml", "scipy",
        "skimage", "sklearn", "tensorboard", "tifffile", "torchvision", "transformers", "zarr",
    }
)  # fmt: skip
"""Optional packages of MONAI that neither the server nor a child uses through MONAI."""

NOT_NEEDED_BY_TASKS = NOT_NEEDED | {"requests"}


def import_monai(without: Collection[str] = NOT_NEEDED) -> None:
    """Import MONAI without its import of all modules, as if these optional packages were not installed.

    Its modules are then imported on demand. MONAI notes missing packages at its import, and raises an error when one is
    used; other code can still import these packages.
    """
    if "monai" in sys.modules:
        return
    with _absent(without), _no_walk():
        import monai.apps  # noqa: F401  # first, as the circular imports of `monai.data` and `monai.transforms` need this order
        import monai.bundle  # noqa: F401  # the host's own modules import it
        import monai.inferers  # noqa: F401
        import monai.networks.nets  # noqa: F401
        import monai.transforms  # noqa: F401


def import_monai_for_host() -> None:
    """Import what the host's modules import of MONAI at the start of a server, in the same way.

    The host's training of bundles, which this app does not offer, imports MONAI's handlers.
    """
    import_monai()
    with _absent(NOT_NEEDED):
        import monai.handlers  # noqa: F401


class _Absent(MetaPathFinder):
    def __init__(self, packages: Collection[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{fullname} is not imported in this process", name=fullname)
        return None


@contextmanager
def _absent(packages: Collection[str]) -> Iterator[None]:
    """Refuse to import these packages, as Python does if they are not installed."""
    finder = _Absent([name for name in packages if name not in sys.modules])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def _no_walk() -> Iterator[None]:
    """Let `monai/__init__` find no modules to import."""
    finder = _MonaiFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _MonaiFinder(MetaPathFinder):
    def __init__(self) -> None:
        self._asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "monai" or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _WithoutWalk(spec.loader)
        return spec


class _WithoutWalk(Loader):
    """A loader that runs a module while `pkgutil` finds no modules."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        walk = pkgutil.walk_packages
        pkgutil.walk_packages = lambda *_, **__: iter(())
        try:
            self._loader.exec_module(module)
        finally:
            pkgutil.walk_packages = walk
        sys.modules["monai.utils.module"].walk_packages = walk  # type: ignore[attr-defined]  # it has imported our replacement
