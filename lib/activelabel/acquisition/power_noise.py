"""Power noise: instead of the best, each with a probability that is a power of its score (Kirsch et al. 2021).

The noise of an id is a hash of a key and that id, as in `selection.shuffled`. A server that gives one query at a time,
also across restarts, therefore gives the same order as one that gives all at once.
"""

import hashlib
import math
from collections.abc import Mapping

from activelabel.acquisition.selection import Id

FIRST_BETA, LAST_BETA = 1.0, 100.0
"""The first and the last beta of ClaSP PE: 1 draws in proportion to the scores, 100 adds hardly any noise."""
ROUNDS_OF_NOISE = 5
"""After so many rounds the last beta is reached: as many as nnActive's experiments have."""
_UNIFORM_BITS = 52  # a float can then tell the largest number below 1 from 1


def power_order(scores: Mapping[Id, float], beta: float, key: str) -> list[Id]:
    """All ids, the largest log score + Gumbel(0, 1) / `beta` first (Kirsch et al. 2021, section 3: PowerBALD).

    The first id is drawn with a probability in proportion to score ** beta, the next one likewise from the others. A
    large `beta` gives the order of `selection.top_k`. Ids of score 0, or below by rounding, come last, in a random
    order.

    Args:
        scores: 0 or more for each id; 0 means that the model can learn nothing from it.
        beta: above 0; 1 in the paper.
        key: seeds the noise, together with the id: made from the seed, the model, and the kind of score.

    Raises:
        ValueError: a score is NaN (the text names its id), or `beta` is not above 0.
    """
    if not beta > 0:
        raise ValueError(f"beta must be above 0, got {beta}")
    ranked = []
    for id, score in scores.items():
        if math.isnan(score):
            raise ValueError(f"the score of {id!r} is NaN: it cannot be ranked")
        noise = gumbel_noise(id, key)
        noised = math.log(score) + noise / beta if score > 0 else -math.inf
        ranked.append((-noised, -noise, id))
    return [id for _, _, id in sorted(ranked)]


def scheduled_beta(round_number: int) -> float:
    """The beta of the queries after the `round_number`-th model, 1 or more: geometric from 1 to 100, then constant.

    nnActive's ClaSP PE raises it over the rounds between these two; the steps are our choice: 1, 3.2, 10, 32, 100.
    """
    if round_number < 1:
        raise ValueError(f"rounds are counted from 1, got {round_number}")
    steps = min(round_number, ROUNDS_OF_NOISE) - 1
    beta: float = FIRST_BETA * (LAST_BETA / FIRST_BETA) ** (steps / (ROUNDS_OF_NOISE - 1))
    return beta


def gumbel_noise(id: object, key: str) -> float:
    """A number of the Gumbel(0, 1) distribution that depends on `key` and `id` alone."""
    return -math.log(-math.log(uniform_noise(id, key)))


def uniform_noise(id: object, key: str) -> float:
    """A number between 0 and 1, both excluded, that depends on `key` and on how `id` is written alone."""
    digest = hashlib.sha256(f"{key}:{id!r}".encode()).digest()
    return ((int.from_bytes(digest[:8], "big") >> (64 - _UNIFORM_BITS)) + 0.5) / 2**_UNIFORM_BITS
