"""Keeps the features that a model computes of the images in files, for strategies that spread over the pool."""

from activelabel.data.preprocessing import PreparedImage
from activelabel.loop.progress_log import Remaining
from activelabel.optional_parts import optional
from activelabel.prediction.features import FeatureExtractor
from activelabel.prediction.image_features import own_slice_features
from activelabel.prediction.prepared.ahead import Ahead
from activelabel.project.models.features import features_file, read_features, write_features
from activelabel.project.project import Project
from activelabel.project.slices.slicing import fixed_axis
from activelabel.store.records.models import ModelVersion

_MISSING = "there are no features of new volumes"


def keep_features(
    project: Project, model: ModelVersion, prepared: Ahead[PreparedImage | None], of_slices: bool = False
) -> None:
    """Add the missing features of the training images by this model, annotated images included.

    Features are optional: every failure is only a warning, except that the model cannot be used. All features are
    written at once: an interrupted call writes nothing. `prepared` gives the network's input for an image, or None
    for an image without features.
    """
    file = features_file(project.features_folder, model.version, of_slices)
    missing: list[str] = []
    with optional(_MISSING):
        known = project.ledger.images()
        gone = {image.id for image in known if not image.present}
        features = {image_id: vectors for image_id, vectors in read_features(file).items() if image_id not in gone}
        images = [image.id for image in known if image.role == "training" and image.usable]
        missing = [image_id for image_id in images if image_id not in features]
    if not missing:
        return
    prediction, network = project.recipe.prediction, project.network(model)
    with optional(_MISSING):
        extractor = FeatureExtractor(
            network,
            prediction.window_size,
            prediction.window_overlap,
            project.device,
            project.recipe.channel_count,
        )
        remaining = Remaining(f"model {model.version}: features of", len(missing))
        new = {}
        prepared.expect(missing)
        for image_id in missing:
            image = prepared.take(image_id)
            if image is not None and of_slices:
                axis = fixed_axis(project.ledger, image_id, image.original, project.slice_plane)
                new[image_id] = own_slice_features(extractor, image, axis)
            elif image is not None:
                new[image_id] = extractor.features(image.tensor).numpy()
            remaining.advance()
        if new:
            write_features(file, features | new)
