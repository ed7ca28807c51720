"""An Orthanc of our own on this machine: nothing of it is left when it ends."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import requests
from pydicom.dataset import FileDataset

PLUGINS = Path("/usr/share/orthanc/plugins")
START_SECONDS = 120.0
_ANSWER_SECONDS = 30.0


class OrthancMissingError(Exception):
    """Orthanc or its DICOMweb plugin is not installed; the text says how to get them."""


class Orthanc:
    """A PACS with DICOMweb at `dicom_web`, answering this machine only; its files are below `folder`."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._program = _program()
        self.folder = folder
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Of Orthanc's own interface."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def dicom_web(self) -> str:
        """What a server gets as `--studies`."""
        return f"{self.address}/dicom-web"

    def start(self) -> "Orthanc":
        """Start if it is not running, and wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time; the text holds the end of its log.
        """
        if self._process is not None and self._process.poll() is None:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration(), indent=2))
        with (self.folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, str(configuration)],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for whoever started us; it ends this PACS last
            )
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(
                    f"Orthanc did not start:\n{(self.folder / 'orthanc.log').read_text(encoding='utf-8')[-2000:]}"
                )
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        """End it. What it holds stays in its folder."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def store(self, datasets: Iterable[FileDataset]) -> None:
        """Send DICOM files, as a scanner would."""
        with requests.Session() as session:
            for dataset in datasets:
                file = BytesIO()
                dataset.save_as(file, write_like_original=False)
                session.post(f"{self.address}/instances", file.getvalue(), timeout=_ANSWER_SECONDS).raise_for_status()

    def series(self, modality: str) -> list[dict[str, object]]:
        """What it holds of a modality, as Orthanc describes it: `MainDicomTags`, `Instances`, ..."""
        query = {"Level": "Series", "Expand": True, "Query": {"Modality": modality}}
        response = requests.post(f"{self.address}/tools/find", json=query, timeout=_ANSWER_SECONDS)
        response.raise_for_status()
        return list(response.json())

    def clear(self) -> None:
        """Remove everything that it holds."""
        for patient in requests.get(f"{self.address}/patients", timeout=_ANSWER_SECONDS).json():
            requests.delete(f"{self.address}/patients/{patient}", timeout=_ANSWER_SECONDS).raise_for_status()

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.address}/system", timeout=_ANSWER_SECONDS).ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def _configuration(self) -> dict[str, object]:
        return {
            "Name": "activelabel",
            "StorageDirectory": str(self.folder / "files"),
            "IndexDirectory": str(self.folder / "files"),
            "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            # It listens on all addresses whatever it is told; this makes it refuse all machines but ours.
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        }


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _program() -> str:
    """Debian puts it where only administrators look."""
    found = shutil.which("Orthanc", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None or not (PLUGINS / "libOrthancDicomWeb.so").exists():
        raise OrthancMissingError(
            "Orthanc with its DICOMweb plugin is needed, a PACS: apt-get install orthanc orthanc-dicomweb"
        )
    return found
