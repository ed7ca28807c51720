"""A map of real numbers over an image as a DICOM Parametric Map, for the viewers of a PACS, by highdicom."""

from io import BytesIO
from pathlib import Path

import numpy as np
from highdicom.pm import ParametricMap, RealWorldValueMapping
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from activelabel import __version__
from activelabel.data.dicom.frames import stacked_frames
from activelabel.data.dicom_objects.quantity import Quantity
from activelabel.data.dicom_objects.source_images import long_string, source_images
from activelabel.data.grids import Grid, axis_order
from activelabel.data.volumes import Volume
from activelabel.errors import InvalidInputError

_SERIES_NUMBER = 310
_SCHEME = "99ACTIVELABEL"
_NATS, _NO_UNITS = Code("{nat}", "UCUM", "nat"), Code("1", "UCUM", "no units")
_SHORT = 16  # characters of a DICOM short string


def parametric_map(values: Volume, series: Path, quantity: Quantity, model_version: int, identity: str) -> bytes:
    """A map as the content of a DICOM file: one float32 frame for each slice of the series.

    The real-world mapping is the identity, with the unit and the quantity. The window spans 0 to the largest value.

    Args:
        values: the map, on the voxels of the series.
        series: folder with the DICOM files of the image.
        quantity: what the numbers are.
        model_version: the model from which they come.
        identity: what the map was computed from; the same map gets the same identifiers.

    Raises:
        InvalidInputError: `series` cannot be read, its voxels are others, or it lacks attributes.
    """
    frames, affine_ras = stacked_frames(series)
    order = axis_order(
        values.grid, Grid((int(frames[0].header.Columns), int(frames[0].header.Rows), len(frames)), affine_ras)
    )
    if order is None:
        raise InvalidInputError(f"{series.name}: the map does not lie on the voxels of the series: use form=nifti")
    sources = source_images(frames)
    pixels = np.ascontiguousarray(np.swapaxes(order.apply(values.array), 0, 2), dtype=np.float32)
    # A window must be wider than nothing, also for a map that is 0 everywhere.
    largest = max(float(pixels.max()), float(np.finfo(np.float32).tiny))
    mapping = RealWorldValueMapping(
        lut_label=quantity.code[:_SHORT],
        lut_explanation=long_string(quantity.meaning),
        unit=_NATS if quantity.in_nats else _NO_UNITS,
        value_range=(min(0.0, float(pixels.min())), largest),
        slope=1.0,
        intercept=0.0,
        quantity_definition=Code(quantity.code[:_SHORT], _SCHEME, long_string(quantity.meaning)),
    )
    if len(sources) == 1:  # highdicom takes the places of a file of many frames in the order of the file
        pixels = pixels[np.argsort([frame.index for frame in frames])]
    try:
        made = ParametricMap(
            source_images=sources,
            pixel_array=pixels,
            series_instance_uid=generate_uid(entropy_srcs=["map series", identity]),
            series_number=_SERIES_NUMBER,
            sop_instance_uid=generate_uid(entropy_srcs=["map", identity]),
            instance_number=1,
            manufacturer="activelabel",
            manufacturer_model_name="activelabel",
            software_versions=__version__,
            device_serial_number="1",
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[mapping],
            window_center=largest / 2,
            window_width=largest,
            content_label="MAP",
            content_description=long_string(f"{quantity.meaning}, model {model_version}"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{series.name}: no parametric map can be made for this series ({error}): use form=nifti"
        ) from error
    made.SoftwareVersions = [__version__, f"model {model_version}"]
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SeriesDescription = long_string(f"{quantity.meaning} (activelabel, model {model_version})")
    content = BytesIO()
    made.save_as(content, write_like_original=False)
    return content.getvalue()
