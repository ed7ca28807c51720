"""A mask's file is the one that the host's own writer makes."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from monailabel.transform.writer import write_itk
from numpy.typing import NDArray

from activelabel.server.tasks.mask_files import DTYPES, EXTENSIONS, MaskFormat, write_mask

AFFINES = {
    "stored against RAS": np.diag([-1.5, -1.5, 2.0, 1.0]),
    "moved": np.array([[0.7, 0, 0, -93.25], [0, 0.8, 0, 12.5], [0, 0, 5.0, -700.1], [0, 0, 0, 1]]),
    "turned": np.array([[0, 0, 3.0, 4], [-0.9, 0, 0, 5], [0, 1.1, 0, 6], [0, 0, 0, 1]]),
    "oblique": np.array([[0.8, -0.6, 0, 1], [0.6, 0.8, 0, 2], [0, 0, 2.5, 3], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("affine_ras", AFFINES.values(), ids=AFFINES)
def test_a_mask_is_written_as_the_host_writes_it(
    tmp_path: Path, extension: str, dtype: str, compress: bool, affine_ras: NDArray[np.float64]
) -> None:
    mask = np.random.default_rng(0).integers(0, 4, (5, 6, 7)).astype(np.uint8)
    compress = compress or extension == ".nii.gz"
    expected = tmp_path / f"host{extension}"
    write_itk(mask.astype(dtype), str(expected), affine_ras, None, compress)
    written = Path(write_mask(mask, affine_ras, MaskFormat(extension, dtype, compress)))
    try:
        if extension == ".nrrd":
            assert written.read_bytes() == expected.read_bytes()
            return
        ours, hosts = nibabel.load(written), nibabel.load(expected)
        assert ours.header == hosts.header
        assert np.array_equal(np.asarray(ours.dataobj), np.asarray(hosts.dataobj))
        assert np.array_equal(np.asarray(ours.dataobj), mask)
        np.testing.assert_allclose(ours.affine, affine_ras, atol=1e-5)
    finally:
        written.unlink()
