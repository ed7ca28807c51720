"""Which model is in use unless somebody chooses: the best by the same cases. Pure functions of what was measured.

Versions are those of one kind that were not withdrawn, measurements are in the order in which they were made.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence

from activelabel.store.records import Judges, Measurement


def label_judges(annotation_ids: Iterable[int]) -> Judges | None:
    """The judges that these validation labels are; None without any. A label that is drawn anew is another judge."""
    ids = sorted(set(annotation_ids))
    return Judges(hashlib.sha256(f"labels {ids}".encode()).hexdigest(), len(ids)) if ids else None


def best_version(versions: Collection[int], measurements: Sequence[Measurement]) -> int | None:
    """The best of those that were judged as the newest judged one was; of equal ones the newer.

    A model without a Dice takes no other's place that has one. Where none has, nothing tells them apart but their age,
    and the newest is the best. None without any version.
    """
    newest = max((item.model_version for item in _judged(versions, measurements)), default=None)
    if newest is None:
        return max(versions, default=None)
    return ranking(newest, versions, measurements)[0].model_version


def ranking(version: int, versions: Collection[int], measurements: Sequence[Measurement]) -> list[Measurement]:
    """What a model and all that were judged by the same cases scored, best first; empty if it has no Dice.

    The cases are those by which this model was judged last.
    """
    own = [item for item in _judged(versions, measurements) if item.model_version == version]
    if not own:
        return []
    comparable = [item for item in _judged(versions, measurements) if item.judges == own[-1].judges]
    return sorted(comparable, key=lambda item: (-_dice(item), -item.model_version))


def sound_versions(in_use: int | None, versions: Collection[int], measurements: Sequence[Measurement]) -> set[int]:
    """The model in use and those that led to it: none that is newer, and none that an older one beats.

    What was learnt of a worse model, while it was in use by somebody's choice, says nothing of these.
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
    assert measurement.dice is not None  # only those that have one come here
    return measurement.dice
