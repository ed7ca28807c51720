"""The series that a viewer stores are read from its request."""

import io

import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from activelabel.server.pacs.sent_series import sent_series

TYPE = 'multipart/related; type="application/dicom"; boundary=edge-1'


def dicom_file(series: str, pixels: bytes = b"\r\n\r\n--edge\r\n\x00\xff") -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = ExplicitVRLittleEndian, generate_uid()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SeriesInstanceUID, dataset.Rows = series, 2
    dataset.add_new(0x7FE00010, "OB", pixels)
    written = io.BytesIO()
    dataset.save_as(written, write_like_original=False)
    return written.getvalue()


def body(*files: bytes) -> bytes:
    parts = [b"--edge-1\r\nContent-Type: application/dicom\r\n\r\n" + file for file in files]
    return b"\r\n".join([*parts, b"--edge-1--\r\n"])


def test_the_series_of_every_file_are_named() -> None:
    assert sent_series(body(dicom_file("1.2.3"), dicom_file("1.2.4"), dicom_file("1.2.3")), TYPE) == {"1.2.3", "1.2.4"}
    assert sent_series(body(dicom_file("1.2.3")), TYPE.replace("edge-1", '"edge-1"')) == {"1.2.3"}


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/related", "multipart/related; boundary="])
def test_a_body_without_parts_has_no_series(content_type: str) -> None:
    assert sent_series(body(dicom_file("1.2.3")), content_type) == set()


@pytest.mark.parametrize("file", [b"", b"no DICOM", dicom_file("1.2.3")[:150], b"\0" * 128 + b"DICM" + b"\xff" * 50])
def test_an_unreadable_part_has_no_series_and_the_other_parts_have_theirs(file: bytes) -> None:
    assert sent_series(body(file, dicom_file("1.2.4")), TYPE) == {"1.2.4"}
