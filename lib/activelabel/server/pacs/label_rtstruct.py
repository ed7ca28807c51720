"""A kept label as DICOM RTSTRUCT, as it is sent to a client."""

from io import BytesIO
from pathlib import Path

from activelabel.data.dicom_objects.rtstruct_writing import rtstruct_uid, write_rtstruct
from activelabel.data.labels.label_map import LabelMap
from activelabel.errors import NotFoundError
from activelabel.store.records.labels import Annotation


def label_rtstruct(file: Path, annotation: Annotation, series: Path, labels: LabelMap) -> bytes:
    """The RTSTRUCT of a label version as the content of a file; its identifiers are the same each time.

    It has the structures in which something is drawn.

    Args:
        file: the label, on the grid of the series.
        annotation: what the ledger says of it.
        series: the folder with the DICOM files of its image.
        labels: the label map.

    Raises:
        NotFoundError: nothing is drawn in it.
        InvalidInputError: its file or the series cannot be read, or the series lacks attributes.
    """
    uid = rtstruct_uid(annotation.sha256, annotation.image_id)
    dataset = write_rtstruct(file, series, labels, uid, annotation.annotator, annotation.created_at)
    if dataset is None:
        raise NotFoundError(
            f"image '{annotation.image_id}': nothing is drawn in its label, so there is no RTSTRUCT of it"
        )
    content = BytesIO()
    dataset.save_as(content, write_like_original=False)
    return content.getvalue()
