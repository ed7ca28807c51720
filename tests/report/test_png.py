"""PNG files as Pillow reads them."""

import io

import numpy as np
import pytest
from PIL import Image

from activelabel.report.png import png_of


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (40, 30)])
def test_a_picture_is_read_as_it_was_written(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(png_of(pixels, 150))) as read:
        read.load()
        assert read.mode == "RGB"
        assert read.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        np.testing.assert_array_equal(np.asarray(read), pixels)
