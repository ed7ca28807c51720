"""Client of a PACS: lists series, reads and stores objects, and turns each failure into one line."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import requests
from monailabel.config import settings as host_settings
from monailabel.datastore.dicom import DICOMwebClientX
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian

from activelabel.data.dicom.guard import check_object
from activelabel.data.files.guard import LARGEST_IMAGE_VOXELS
from activelabel.errors import ActiveLabelError, ForbiddenError, NotFoundError, UnavailableError
from activelabel.server.pacs.session import CONNECT_SECONDS, RefusedAnswerError, open_session

logger = logging.getLogger(__name__)

MOST_SERIES = 100_000
"""Limit on the series that a search may find, so that the listing of a faulty PACS ends."""
BYTES_OF_A_VOXEL = 4

_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*", re.ASCII)
"""A valid UID: digits with single dots between them. A UID becomes a file name, so it must never be a dot alone."""
_SHOWN_TAGS = ("Modality", "StudyDate", "StudyTime", "PatientID", "StudyInstanceUID", "SeriesInstanceUID")
_DESCRIBING_TAGS = ("SeriesDescription", "ProtocolName", "SequenceName", "Modality")
_COUNT_TAG = "NumberOfSeriesRelatedInstances"
UNKNOWN = "UNK"
"""The value of a tag that a series lacks, as the host's clients expect it."""


_OF_THE_WHOLE_PACS = frozenset({401, 403, 408, 429, 502, 503, 504})
"""Answers that say nothing about the series that was asked for: no login, too much to do, or away."""


class SeriesRefusedError(UnavailableError):
    """The PACS answers, but with an error to the request for one series."""


@dataclass(frozen=True)
class Series:
    """A series of the PACS. `info` holds the tags for clients; `instances` is None if the PACS does not list it.

    `descriptions` are its description, protocol, sequence and modality.
    """

    uid: str
    study_uid: str
    instances: int | None
    info: Mapping[str, str]
    descriptions: tuple[str, ...] = ()


class Pacs:
    """The DICOMweb services at an address.

    Every method raises `UnavailableError` if the PACS does not answer in time, or answers with an error.

    Attributes:
        address: address of the PACS without login data.
    """

    def __init__(self, url: str, largest_voxels: int = LARGEST_IMAGE_VOXELS) -> None:
        """Connect to the PACS at `url` with the host's settings `MONAI_LABEL_DICOMWEB_*`.

        An answer that is larger than a series of `largest_voxels` is refused.
        """
        parts = urlsplit(url.rstrip("/"))
        self.address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._url = url.rstrip("/")
        self._patience_seconds = host_settings.MONAI_LABEL_DICOMWEB_PROXY_TIMEOUT
        self._session = open_session(url, self._patience_seconds, largest_voxels * BYTES_OF_A_VOXEL)
        self._client = _CheckingClient(
            url=self._url,
            session=self._session,
            qido_url_prefix=host_settings.MONAI_LABEL_QIDO_PREFIX,
            wado_url_prefix=host_settings.MONAI_LABEL_WADO_PREFIX,
            stow_url_prefix=host_settings.MONAI_LABEL_STOW_PREFIX,
        )
        self._client.set_http_retry_params(retry=False)  # retries would wait for minutes
        for chatty in ("dicomweb_client", "retrying"):  # they log every request, and a traceback for each failure
            logging.getLogger(chatty).setLevel(logging.ERROR)

    def images(self, filters: Mapping[str, Any] | None = None) -> list[Series]:
        """The series that a search filter finds; all series without one."""
        return self._search(filters or {})

    def segmentations(self) -> list[Series]:
        """All series of segmentations, SEG and RTSTRUCT."""
        return [*self._search({"Modality": "SEG"}), *self._search({"Modality": "RTSTRUCT"})]

    def instances(self, series: Series) -> list[Dataset]:
        """All objects of a series, with their pixel data."""
        with self._asking(f"the series {series.uid}"):
            return [_of_series(found, series.uid) for found in self._client.iter_series(series.study_uid, series.uid)]

    def download(self, series_uid: str, study_uid: str, folder: Path, go_on: Callable[[], bool] = lambda: True) -> None:
        """Write the objects of a series into `folder`, one file each, as long as `go_on` says so before each.

        Raises:
            UnavailableError: `go_on` has said no.
            NotFoundError: the PACS has no such series.
            SeriesRefusedError: the PACS answers with an error of its own, for example as it cannot decode the series.
        """
        try:
            with self._asking(f"the series {series_uid}"):
                by_frame = host_settings.MONAI_LABEL_DICOMWEB_FETCH_BY_FRAME
                found = (self._by_frame if by_frame else self._client.iter_series)(study_uid, series_uid)
                for number, instance in enumerate(found):
                    if not go_on():
                        raise UnavailableError(f"the series {series_uid} is not fetched to its end")
                    _of_series(instance, series_uid).save_as(folder / f"{number:05d}.dcm", write_like_original=False)
        except UnavailableError as error:
            cause = error.__cause__
            if isinstance(cause, requests.HTTPError) and cause.response.status_code not in _OF_THE_WHOLE_PACS:
                raise SeriesRefusedError(str(error)) from error
            raise
        if not any(folder.iterdir()):
            raise NotFoundError(f"the PACS {self.address} has no series {series_uid}: it may have been removed")

    def _by_frame(self, study_uid: str, series_uid: str) -> Iterator[Dataset]:
        """The single-frame objects of a series; metadata and pixels are requested separately."""
        for listed in self._client.retrieve_series_metadata(study_uid, series_uid):
            instance = Dataset.from_json(listed)
            uid = str(instance.SOPInstanceUID)
            (pixels,) = self._client.retrieve_instance_frames(study_uid, series_uid, uid, frame_numbers=[1])
            instance.PixelData = pixels
            instance.is_little_endian = instance.is_implicit_VR = True
            instance.file_meta = FileMetaDataset()
            instance.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            yield instance

    def study_of(self, series_uid: str) -> str:
        """The study of a series.

        Raises:
            NotFoundError: the PACS has no such series.
        """
        for series in self._search({"SeriesInstanceUID": series_uid}):
            if series.uid == series_uid:
                return series.study_uid
        raise NotFoundError(f"the PACS {self.address} has no series {series_uid}: it may have been removed")

    def modality_of(self, series_uid: str) -> str | None:
        """The modality of a series; None if the PACS has no such series."""
        found = self._search({"SeriesInstanceUID": series_uid})
        return next((series.info["Modality"] for series in found if series.uid == series_uid), None)

    def store(self, dataset: Dataset) -> None:
        """Store an object in the PACS; an object that the PACS already has stays unchanged."""
        with self._asking("an object to store"):
            answer = self._client.store_instances([dataset])
        if answer.get("FailedSOPSequence"):
            reason = answer.FailedSOPSequence[0].get("FailureReason", "without a reason")
            raise UnavailableError(f"the PACS {self.address} refused to store an object (reason {reason})")

    def forward(
        self, method: str, service: str, path: str, query: str, body: bytes, headers: Mapping[str, str]
    ) -> requests.Response:
        """Forward a viewer's request and return the answer of the PACS, even an error.

        Args:
            method: GET or POST.
            service: `qido`, `wado` or `stow`, or "" for an address without prefix.
            path: path below the DICOMweb root.
            query: query string as the viewer sent it.
            body: body of the request.
            headers: headers to forward.

        Raises:
            ForbiddenError: the path leaves the DICOMweb root, beside which a PACS has other services.
        """
        if any(part in ("..", ".") for part in path.split("/")):
            raise ForbiddenError(f"'{path}' leaves the DICOMweb services of the PACS")
        prefix = _prefix(method, service, path)
        url = "/".join(part for part in (self._url, prefix, quote(path)) if part)
        with self._asking(path, refusals=False):
            return self._session.request(
                method, f"{url}?{query}" if query else url, data=body or None, headers=dict(headers)
            )

    def _search(self, filters: Mapping[str, Any]) -> list[Series]:
        """All series that match `filters`, requested page by page."""
        found: dict[str, Series] = {}
        while True:
            with self._asking("a search"):
                page = self._client.search_for_series(
                    search_filters=dict(filters),
                    fields=[*dict.fromkeys((*_SHOWN_TAGS, *_DESCRIBING_TAGS, _COUNT_TAG))],
                    offset=len(found) or None,
                )
                listed = [self._series(item) for item in page]
            new = [series for series in listed if series is not None and series.uid not in found]
            if not new:
                return list(found.values())
            found.update((series.uid, series) for series in new)
            if len(found) > MOST_SERIES:
                raise UnavailableError(
                    f"the PACS {self.address} lists more than {MOST_SERIES:,} series: narrow the search by "
                    "MONAI_LABEL_DICOMWEB_SEARCH_FILTER"
                )

    def _series(self, item: Any) -> Series | None:
        """A listed series; None if it cannot be read or has no valid UID, since the UID becomes a file name."""
        try:
            return self._read_series(Dataset.from_json(item))
        except Exception as error:  # noqa: BLE001 - a malformed entry affects only its own series
            logger.warning("a series that the PACS %s lists cannot be read: %s", self.address, first_line(error))
            return None

    def _read_series(self, listed: Dataset) -> Series | None:
        info = {tag: str(listed[tag].value) if listed.get(tag) else UNKNOWN for tag in _SHOWN_TAGS}
        uid, study_uid = info["SeriesInstanceUID"], info["StudyInstanceUID"]
        if not (_UID.fullmatch(uid) and _UID.fullmatch(study_uid)):
            return None
        info["RetrieveURL"] = f"{self.address}/studies/{study_uid}/series/{uid}"
        count = listed.get(_COUNT_TAG)
        descriptions = tuple(str(listed[tag].value).strip() for tag in _DESCRIBING_TAGS if listed.get(tag))
        return Series(uid, study_uid, int(count) if count is not None else None, info, descriptions)

    @contextmanager
    def _asking(self, what: str, refusals: bool = True) -> Iterator[None]:
        """Turn every failure of a request to the PACS into an error with one line."""
        try:
            yield
        except requests.HTTPError as error:
            status = error.response.status_code
            if status == requests.codes.not_found:
                raise NotFoundError(f"the PACS {self.address} does not know {what}") from error
            advice = "check MONAI_LABEL_DICOMWEB_USERNAME and _PASSWORD" if status in (401, 403) else "see its log"
            raise UnavailableError(f"the PACS {self.address} answered {status} to {what}: {advice}") from error
        except requests.Timeout as error:
            raise UnavailableError(
                f"the PACS {self.address} does not answer in time ({CONNECT_SECONDS:.0f} s to connect, "
                f"{self._patience_seconds:.0f} s to go on): try again later"
            ) from error
        except requests.exceptions.JSONDecodeError as error:
            raise UnavailableError(
                f"what answers at {self.address} is no DICOMweb service: check the address given as --studies"
            ) from error
        except RefusedAnswerError as error:
            raise UnavailableError(
                f"the answer of the PACS {self.address} to {what} is not taken: {error}; see its log"
            ) from error
        except requests.RequestException as error:
            raise UnavailableError(
                f"the PACS {self.address} cannot be reached: check that it runs, and the address given as --studies"
            ) from error
        except (ActiveLabelError, OSError):  # errors of this package and of the disk
            raise
        except Exception as error:  # a malformed answer may raise anything
            raise UnavailableError(
                f"the PACS {self.address} answered to {what} what cannot be read ({first_line(error)}): see its log"
            ) from error


class _CheckingClient(DICOMwebClientX):
    """Checks each received object before pydicom opens it."""

    def _decode_multipart_message(self, response: requests.Response, stream: bool) -> Iterator[bytes]:
        for part in super()._decode_multipart_message(response, stream):
            content = bytes(part)  # a bytearray, which pydicom would read as a list of numbers
            check_object(content)
            yield content


def first_line(error: Exception) -> str:
    """The message of an error as one short line."""
    return " ".join(f"{type(error).__name__} {error}".split())[:100]


def _of_series(instance: Dataset, series_uid: str) -> Dataset:
    """Return the object if it belongs to the requested series.

    Raises:
        UnavailableError: it belongs to another series.
    """
    found = str(instance.get("SeriesInstanceUID"))
    if found != series_uid:
        raise UnavailableError(
            f"the PACS sent an object of the series {found[:64]!r}, and was asked for {series_uid}: see its log"
        )
    return instance


def _prefix(method: str, service: str, path: str) -> str | None:
    """The prefix that the host's settings give to a service. Viewers may store under the prefix of any service."""
    if not service:
        return None
    if method == "POST":
        return host_settings.MONAI_LABEL_STOW_PREFIX
    if service == "wado" or path.endswith("metadata"):
        return host_settings.MONAI_LABEL_WADO_PREFIX
    return host_settings.MONAI_LABEL_QIDO_PREFIX
