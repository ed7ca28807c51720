"""A try of a network on empty windows: it says how many classes it tells apart, or why it cannot predict."""

from torch import Tensor, nn

from activelabel.errors import InvalidInputError


def class_count(network: nn.Module, empty: Tensor) -> int:
    """The number of classes C of a network that gives logits `(2, C, *S)` for `empty` windows `(2, K, *S)`.

    Raises:
        InvalidInputError: it does not take such windows, or gives an output of another shape, or of one class.
    """
    size = tuple(empty.shape[2:])
    try:
        logits = network(empty)
    except RuntimeError as error:
        problem = str(error).partition("\n")[0]
        raise InvalidInputError(
            f"window_size: the network does not take windows of {size} voxels: {problem}"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape[:1] + logits.shape[2:] != empty.shape[:1] + empty.shape[2:]:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InvalidInputError(f"the network must give (2, C, {size[0]}, {size[1]}, {size[2]}) logits, got {got}")
    if logits.shape[1] < 2:
        raise InvalidInputError("the network must tell apart 2 classes or more, background first, got 1")
    return logits.shape[1]
