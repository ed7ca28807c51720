"""Chooses the model in use if no person chose one: the best by the same cases. Pure functions of the measurements.

`versions` are those of one kind that were not withdrawn; `measurements` are in the order in which they were made.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence

from activelabel.store.records.models import Judges, Measurement


def label_judges(annotation_ids: Iterable[int]) -> Judges | None:
    """The judges made of these validation labels; None if there are none. A redrawn label is another judge."""
    ids = sorted(set(annotation_ids))
    return Judges(hashlib.sha256(f"labels {ids}".encode()).hexdigest(), len(ids)) if ids else None


def best_version(versions: Collection[int], measurements: Sequence[Measurement]) -> int | None:
    """The best version among those judged by the same cases as the newest judged one; the newer of equal ones.

    A version without a Dice never replaces one that has a Dice. If none has one, the newest is the best. The result is
    None if there is no version.
    """
    newest = max((item.model_version for item in _judged(versions, measurements)), default=None)
    if newest is None:
        return max(versions, default=None)
    return ranking(newest, versions, measurements)[0].model_version


def ranking(version: int, versions: Collection[int], measurements: Sequence[Measurement]) -> list[Measurement]:
    """The Dice of a model and of all models judged by the same cases, best first; empty if it has no Dice.

    The cases are those that judged this model last.
    """
    own = [item for item in _judged(versions, measurements) if item.model_version == version]
    if not own:
        return []
    comparable = [item for item in _judged(versions, measurements) if item.judges == own[-1].judges]
    return sorted(comparable, key=lambda item: (-_dice(item), -item.model_version))


def sound_versions(in_use: int | None, versions: Collection[int], measurements: Sequence[Measurement]) -> set[int]:
    """The model in use and its predecessors: older versions that no even older one beats.

    A worse model that was in use by somebody's choice says nothing about these.
    """
    if in_use is None:
        return set()
    judged = _judged(versions, measurements)
    beaten = {
        item.model_version
        for item in judged
        for older in judged
        if older.model_version < item.model_version and older.judges == item.judges and _dice(older) > _dice(item)
    }
    return {version for version in versions if version < in_use and version not in beaten} | {in_use}


def _judged(versions: Collection[int], measurements: Sequence[Measurement]) -> list[Measurement]:
    return [item for item in measurements if item.model_version in versions and item.dice is not None]


def _dice(measurement: Measurement) -> float:
    assert measurement.dice is not None  # every measurement here has a Dice
    return measurement.dice
