"""Features of slices come back in the image's own order from a network that saw the image reversed."""

from pathlib import Path

import numpy as np
import torch

from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import Volume
from activelabel.networks import build_network
from activelabel.prediction.features import FeatureExtractor
from activelabel.prediction.image_features import own_slice_features
from activelabel.recipes import NetworkSettings, PreprocessingSettings


def test_features_of_a_turned_image_are_in_its_own_order() -> None:
    """The second axis runs from front to back, and the network sees it reversed."""
    array = np.random.default_rng(0).normal(size=(8, 11, 8)).astype(np.float32)
    image = prepare_image(Volume(array, np.diag([1.0, -2.0, 1.0, 1.0]), Path("a.nii")), PreprocessingSettings())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(NetworkSettings(channels=(3, 5), strides=(2,), residual_units=0), classes=2)
    extractor = FeatureExtractor(network, (8, 8, 8), 0.5)

    found = own_slice_features(extractor, image, 1)

    assert (found.shape, found.dtype) == ((11, 5), np.float32)
    np.testing.assert_allclose(found[::-1], extractor.slice_features(image.tensor, 1).numpy(), atol=1e-6)
    assert not np.allclose(found[0], found[-1])
