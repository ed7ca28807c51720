"""The cost of annotations: counted in slices and images, in the units of chlebus2022 (IV), and in measured time."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

# An annotator of a whole volume draws about every third slice, and lets the tool interpolate the slices between.
_VOLUME_SLICES_A_UNIT = 3


@dataclass(frozen=True)
class AnnotatedQuery:
    """The annotation that answers a query.

    `patient` names the patient of the image. `slices` counts the annotated slices, empty ones included, and
    `foreground_slices` those of them with something drawn. `whole_volume`: the query asked for the whole volume, and
    all of it is drawn. `seconds` is the time that it took, None where it was not measured.
    """

    patient: str
    whole_volume: bool
    slices: int
    foreground_slices: int
    seconds: float | None = None


@dataclass(frozen=True)
class Effort:
    """Cost of several annotations.

    The first three are the columns of the paper's Table 2: slices, foreground slices, and different patients.
    `units` is the paper's model of effort, in foreground slices of different volumes. `timed_queries` counts the
    queries whose time was measured, and `seconds_per_query` is their mean, None where there are none. `active_queries`
    counts those of them of which the time in which the annotator worked is known; that time stands for them.
    """

    slices: int
    foreground_slices: int
    patients: int
    units: float
    timed_queries: int
    seconds_per_query: float | None
    active_queries: int = 0


def effort(queries: Iterable[AnnotatedQuery]) -> Effort:
    """Add up the cost of annotations; no slice may be in two of the queries.

    N foreground slices of one whole volume cost as much as N/3 from different volumes; a slice that was asked for by
    itself costs 1; one without foreground costs nothing (chlebus2022, IV, assumptions 1 and 2).

    Raises:
        ValueError: more foreground slices than slices, or a negative number (the text names the patient).
    """
    queries = list(queries)
    for query in queries:
        if not 0 <= query.foreground_slices <= query.slices or (query.seconds or 0) < 0:
            raise ValueError(f"{query.patient}: expected 0 <= foreground slices <= slices and seconds, got {query}")
    seconds = [query.seconds for query in queries if query.seconds is not None]
    return Effort(
        slices=sum(query.slices for query in queries),
        foreground_slices=sum(query.foreground_slices for query in queries),
        patients=len({query.patient for query in queries}),
        units=sum(map(_units, queries)),
        timed_queries=len(seconds),
        seconds_per_query=statistics.fmean(seconds) if seconds else None,
    )


def _units(query: AnnotatedQuery) -> float:
    return query.foreground_slices / (_VOLUME_SLICES_A_UNIT if query.whole_volume else 1)
