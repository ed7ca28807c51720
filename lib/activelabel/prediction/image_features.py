"""Features of an image's slices as the image itself counts them."""

import numpy as np
from numpy.typing import NDArray

from activelabel.data.preprocessing import PreparedImage
from activelabel.data.slices import own_slice_values, prepared_axis
from activelabel.prediction.features import FeatureExtractor


def own_slice_features(extractor: FeatureExtractor, image: PreparedImage, axis: int) -> NDArray[np.float32]:
    """A vector for each slice along `axis` of the image's own voxels: float32 `(slices, F)`.

    Where the image was resampled, a slice has what the prepared slices around it have.
    """
    prepared = extractor.slice_features(image.tensor, prepared_axis(image.grid, image.original, axis))
    columns = [own_slice_values(column, image.grid, image.original, axis) for column in prepared.T.tolist()]
    return np.stack(columns, axis=1).astype(np.float32)
