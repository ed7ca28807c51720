"""The images that a bundle segments."""

from pathlib import Path

ENDINGS = (".nii.gz", ".nii")


def list_images(place: str) -> list[dict[str, str]]:
    """The NIfTI file at `place`, or all those in the folder there, in order, as items of a data set.

    Raises:
        ValueError: there is none.
    """
    path = Path(place)
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    images = [{"image": str(file)} for file in files if file.name.endswith(ENDINGS)]
    if not images:
        raise ValueError(f"--dataset_dir {place}: expected an image, or a folder of images, in .nii.gz or .nii")
    return images
