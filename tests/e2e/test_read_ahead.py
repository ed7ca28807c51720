"""A server on a real PACS reads the next case while an annotator draws."""

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running_server import RunningServer

from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc

pytestmark = pytest.mark.e2e

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"


def test_the_second_case_is_in_the_cache_before_it_is_asked_for(
    make_server: Callable[..., RunningServer], orthanc: Orthanc, blobs: Callable[[int], Any], tmp_path: Path
) -> None:
    cases = blobs(4)
    for number, image in enumerate(sorted(cases.studies.iterdir())):
        orthanc.store(ct_series(image, image.name.split(".")[0], datetime.datetime(2026, 5, 6, 7, number)))
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(tmp_path / "c")}
    conf = {"recipe": TINY, "labels": "ball", "autopilot": "false", "project_dir": tmp_path / "project"}
    server = make_server(orthanc.dicom_web, places, **conf).start()

    def lines(pattern: str) -> list[str]:
        return re.findall(pattern, server.log.read_text(encoding="utf-8"))

    sample = server.client.next_sample("random", {"client_id": "ann"})
    first = sample["id"]
    server.wait_for(lambda: bool(lines(r"(\S+) was read ahead")), "the next case to be read ahead")
    (second,) = lines(r"(\S+) was read ahead")
    assert second != first
    assert len(list((tmp_path / "c").rglob(f"{second}.nii.gz"))) == 1
    assert lines(r"fetched series (\S+)") == [first, second]
    label = cases.label_of(sample["PatientID"])
    server.client.save_label(first, str(label), params={"client_id": "ann", "finished": True})
    assert server.client.next_sample("random", {"client_id": "ann"})["id"] == second
    assert lines(r"fetched series (\S+)")[:2] == [first, second]
    assert lines(r"fetched series (\S+)").count(second) == 1
    assert server.stop() == 0
