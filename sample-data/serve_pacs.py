"""Serve the sample data from a PACS, for OHIF: `python sample-data/serve_pacs.py`, or `make ohif`.

Starts an Orthanc and, on it, the annotation server; both answer this machine only, and end with Ctrl-C. What the PACS
holds and what was annotated stays in `pacs/`, so that the next start goes on where this one ended.
"""

import argparse
import datetime
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc, OrthancMissingError

HERE = Path(__file__).parent
APP = HERE.parent / "apps" / "activelabel"
WRONG_USE = 2
FIRST_STUDY = datetime.datetime(2026, 1, 5, 8)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is the server's, or 2 if it could not be started."""
    options = _parser().parse_args(arguments)
    try:
        images = _images(options.images, options.cases)
        labels = _labels(options.images)
        pacs = Orthanc(options.folder / "orthanc", options.pacs_port).start()
    except (OrthancMissingError, OSError, ValueError, RuntimeError) as error:
        print(f"serve_pacs.py: {error}", file=sys.stderr)
        return WRONG_USE
    try:
        _send(images, pacs)
        print(f"\nOHIF: open http://127.0.0.1:{options.port}/ohif/ in a browser as soon as the server is ready\n")
        return _serve(pacs, labels, options.port, options.folder / "project")
    finally:
        pacs.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="serve_pacs.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, default=HERE / "abdomen", help="folder with NIfTI and dataset.json")
    parser.add_argument("--cases", type=int, default=12, help="how many of them (default: 12)")
    parser.add_argument("--folder", type=Path, default=HERE / "pacs", help="what stays (default: pacs/, beside this)")
    parser.add_argument("--port", type=int, default=8000, help="of the annotation server (default: 8000)")
    parser.add_argument("--pacs-port", type=int, default=8242, help="of the PACS (default: 8242)")
    return parser


def _images(folder: Path, count: int) -> list[Path]:
    found = sorted(folder.glob("*.nii.gz"))[:count]
    if not found:
        raise ValueError(f"{folder} holds no .nii.gz: make the sample data first, python sample-data/make_abdomen.py")
    return found


def _labels(folder: Path) -> str:
    """Names by ascending value, as `--conf labels` wants them."""
    by_value: dict[str, str] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["labels"]
    return ",".join(by_value[value] for value in sorted(by_value, key=int) if value != "0")


def _send(images: list[Path], pacs: Orthanc) -> None:
    """Send each image as the CT of a patient; one that is there already stays as it is."""
    for number, image in enumerate(images):
        when = FIRST_STUDY + datetime.timedelta(minutes=15 * number)
        pacs.store(ct_series(image, image.name.removesuffix(".nii.gz"), when))
        print(f"\rsent {number + 1} of {len(images)} CT series to the PACS", end="", flush=True)


def _serve(pacs: Orthanc, labels: str, port: int, project: Path) -> int:
    """Run the annotation server until it ends, or until we are told to end."""
    place = ["--host", "127.0.0.1", "--port", str(port)]
    conf = ["--conf", "labels", labels, "--conf", "project_dir", str(project.resolve())]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(APP), "--studies", pacs.dicom_web]
    # In a session of its own: Ctrl-C reaches only us, and we pass it on, once; the PACS ends after the server.
    server = subprocess.Popen([*command, *place, *conf], start_new_session=True)

    def end(number: int, frame: FrameType | None) -> None:
        server.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
