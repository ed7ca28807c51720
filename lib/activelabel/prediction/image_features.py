"""Features of the slices of an image's own voxels."""

import numpy as np
from numpy.typing import NDArray

from activelabel.data.preprocessing import PreparedImage
from activelabel.data.slices import own_slice_values, prepared_axis
from activelabel.prediction.features import FeatureExtractor


def own_slice_features(extractor: FeatureExtractor, image: PreparedImage, axis: int) -> NDArray[np.float32]:
    """A vector for each slice along `axis` of the image's own voxels: float32 `(slices, F)`.

    If the image was resampled, a slice has the features of the prepared slices around it.
    """
    prepared = extractor.slice_features(image.tensor, prepared_axis(image.grid, image.original, axis))
    columns = [own_slice_values(column, image.grid, image.original, axis) for column in prepared.T.tolist()]
    return np.stack(columns, axis=1).astype(np.float32)
