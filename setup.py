"""Adds to the wheel what lies outside `lib`: clients that a command writes out. All else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CLIENTS = ("slicer/ActiveLabel",)


class WithClients(build_py):
    """Copies the clients into the package as it is built."""

    def run(self) -> None:
        """Build the package, then copy."""
        super().run()
        for client in () if self.editable_mode else CLIENTS:
            target = Path(self.build_lib) / "activelabel" / "clients" / client
            shutil.copytree(
                Path("clients") / client, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )


setup(cmdclass={"build_py": WithClients})
