"""What the numbers of a map over an image are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """What the numbers of a map are.

    Attributes:
        code: a word for programs, such as `entropy`.
        meaning: a few words for people, such as `entropy of the model's prediction`.
        in_nats: whether they are in nats; else they have no unit.
    """

    code: str
    meaning: str
    in_nats: bool = False
