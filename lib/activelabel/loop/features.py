"""What a model sees in the images, kept in files before it is asked for: for strategies that spread over the pool."""

from collections.abc import Callable

from activelabel.data.preprocessing import PreparedImage
from activelabel.loop.progress_log import Remaining
from activelabel.prediction.features import FeatureExtractor
from activelabel.prediction.image_features import own_slice_features
from activelabel.project.models.features import features_file, read_features, write_features
from activelabel.project.optional_parts import optional
from activelabel.project.project import Project
from activelabel.project.slicing import fixed_axis
from activelabel.store.records import ModelVersion

_MISSING = "there are no features of new volumes"


def keep_features(
    project: Project, model: ModelVersion, prepared: Callable[[str], PreparedImage | None], of_slices: bool = False
) -> None:
    """Add the features of the training images that have none by this model yet, annotated ones included.

    They are good to have: whatever fails of them is a warning, but for a model that cannot be used.
    They are written all at once: an interrupted call has written nothing. `prepared` gives an image as the network
    takes it, or None where it is to have no features.
    """
    file = features_file(project.features_folder, model.version, of_slices)
    missing: list[str] = []
    with optional(_MISSING):
        features = read_features(file)
        images = [image.id for image in project.ledger.images() if image.role == "training" and image.usable]
        missing = [image_id for image_id in images if image_id not in features]
    if not missing:
        return
    prediction, network = project.recipe.prediction, project.network(model)
    with optional(_MISSING):
        extractor = FeatureExtractor(network, prediction.window_size, prediction.window_overlap, project.device)
        remaining = Remaining(f"model {model.version}: features of", len(missing))
        new = {}
        for image_id in missing:
            image = prepared(image_id)
            if image is not None and of_slices:
                axis = fixed_axis(project.ledger, image_id, image.original, project.slice_plane)
                new[image_id] = own_slice_features(extractor, image, axis)
            elif image is not None:
                new[image_id] = extractor.features(image.tensor).numpy()
            remaining.advance()
        if new:
            write_features(file, features | new)
