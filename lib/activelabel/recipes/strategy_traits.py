"""The table of all strategies: the unit of their queries, their needs, and the measures that they rank by.

All parts of the package read the properties of a strategy here, and none from its name. The functions that propose
cases are in `activelabel.strategies`; its catalogue refuses a strategy without an entry in this table, and an entry
without a strategy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.names import MEASURE_NAMES, REPEATED_MEASURES, ScoreKind

Unit = Literal["volumes", "slices"]
"""The unit of a query: a whole volume, or slices of one."""


class Needs(Enum):
    """The condition under which a strategy can rank. The value completes the sentence "Needs ..." in `GET /info/`."""

    NOTHING = "nothing"
    MODEL = "a model that has scored the cases left, and until then asks as the recipe starts"
    FOREGROUND = (
        "a model, of the task or a proxy, that has scored the foreground, and until then asks as the recipe starts"
    )
    FEATURES = "features, which are kept only where the recipe's own strategy goes by them"
    PROXY = "a proxy model that has scored the cases left"
    REFERENCE_LABELS = "the reference labels of all images, which only a simulation has"


@dataclass(frozen=True)
class Traits:
    """The properties of one strategy.

    Attributes:
        unit: the unit of its queries.
        summary: its queries in one line of plain text, without a full stop.
        needs: the condition under which it can rank.
        measure: the uncertainty of the model in use by which it ranks; None if it ranks by no uncertainty.
        raced_by: the only score of a volume that it ranks by; None if volumes cannot race for it.
        offered_first: whether clients list it among the few that suit every project of its unit.
    """

    unit: Unit
    summary: str
    needs: Needs = Needs.MODEL
    measure: str | None = None
    raced_by: ScoreKind | None = None
    offered_first: bool = False

    @property
    def asks_slices(self) -> bool:
        """Whether it asks for slices, not for whole volumes."""
        return self.unit == "slices"

    @property
    def by_uncertainty(self) -> bool:
        """Whether it ranks by an uncertainty of the model in use."""
        return self.measure is not None


_MEASURED_BY = {
    "variance": "predictions vary most between Monte Carlo repeats (rahimi2022, eq. 1; MC dropout in ma2024)",
    "entropy": "mean prediction has the largest entropy (chlebus2022, eq. 2)",
    "mutual_information": "Monte Carlo repeats disagree most, noise in the image left out (BALD)",
    "least_confidence": "most probable class is least probable",
    "margin": "two most probable classes are closest",
}


def _of_measures() -> Iterator[tuple[str, Traits]]:
    """The strategies of each measure: plain and selective, for volumes and slices, and means over image and object."""
    near = "near targets or boundaries (ma2024, eq. 5)"
    for measure in ("variance", "entropy"):
        summary = f"Volumes with the largest mean {measure} of Monte Carlo repeats (nath2022, 3.4)"
        kind = ScoreKind(measure, aggregation="mean")
        yield f"mean_{measure}", Traits("volumes", summary, measure=measure, raced_by=kind)
    for measure in MEASURE_NAMES:
        words = measure.replace("_", " ")
        summary = f"Volumes with the largest mean {words} around the predicted object, whatever its size"
        kind = ScoreKind(measure, "object", "mean")
        yield f"object_{measure}", Traits("volumes", summary, measure=measure, raced_by=kind)
    for measure, most in _MEASURED_BY.items():
        yield measure, Traits("volumes", f"Volumes whose {most}", measure=measure, raced_by=ScoreKind(measure))
        yield f"selective_{measure}", Traits("volumes", f"Volumes whose {most}, {near}", measure=measure)
        yield f"{measure}_slices", Traits("slices", f"Slices whose {most}", measure=measure)
        yield f"selective_{measure}_slices", Traits("slices", f"Slices whose {most}, {near}", measure=measure)


_FADING = "with the largest entropy, two thirds of them class by class, with noise that fades (ClaSP PE)"

TRAITS: dict[str, Traits] = {
    "random_volumes": Traits(
        "volumes",
        "Volumes at random: what every other strategy has to beat",
        needs=Needs.NOTHING,
        offered_first=True,
    ),
    "foreground_random": Traits(
        "volumes",
        "Volumes at random, two thirds in proportion to their predicted foreground: a strong simple baseline",
        needs=Needs.FOREGROUND,
        offered_first=True,
    ),
    "uncertainty_volumes": Traits(
        "volumes",
        "Volumes with the largest mean entropy in and around the predicted foreground (chlebus2022, UVS)",
        measure="entropy",
        raced_by=ScoreKind("entropy", "dilated_foreground", "mean"),
        offered_first=True,
    ),
    "power_bald": Traits(
        "volumes",
        "Volumes drawn in proportion to their mutual information (Kirsch et al. 2021, PowerBALD)",
        measure="mutual_information",
    ),
    "power_entropy": Traits(
        "volumes",
        "Volumes drawn in proportion to their entropy (power noise of Kirsch et al. 2021)",
        measure="entropy",
    ),
    "clasp_pe": Traits("volumes", f"Volumes {_FADING}", measure="entropy"),
    "blend": Traits(
        "volumes",
        "Volumes drawn in proportion to the uncertainty in predicted structures, all classes alike (ours)",
        measure="entropy",
        offered_first=True,
    ),
    "coreset": Traits("volumes", "Volumes that cover what the model sees in the pool (core-set)", needs=Needs.FEATURES),
    "typiclust": Traits(
        "volumes", "Volumes that are typical of what the model sees in the pool (TypiClust)", needs=Needs.FEATURES
    ),
    "proxy_rank": Traits(
        "volumes",
        "Volumes of which the proxy model is least certain (nath2022, proxy ranking)",
        needs=Needs.PROXY,
    ),
    "foreground_random_oracle": Traits(
        "volumes",
        "Volumes at random, two thirds in proportion to their true foreground (nnActive's baseline)",
        needs=Needs.REFERENCE_LABELS,
    ),
    "random_slices": Traits(
        "slices",
        "Slices at random from all volumes (chlebus2022, RSS)",
        needs=Needs.NOTHING,
        offered_first=True,
    ),
    "strided_slices": Traits(
        "slices",
        "Every n-th slice of volumes at random: what a reader draws whose tool interpolates",
        needs=Needs.NOTHING,
    ),
    "foreground_random_slices": Traits(
        "slices",
        "Slices at random, two thirds of those with predicted foreground: a strong simple baseline",
        needs=Needs.FOREGROUND,
        offered_first=True,
    ),
    "uncertainty_slices": Traits(
        "slices",
        "Slices at the largest peaks of mean entropy, of all volumes (chlebus2022, USS)",
        measure="entropy",
        offered_first=True,
    ),
    "power_bald_slices": Traits(
        "slices",
        "Slices drawn in proportion to their mutual information (Kirsch et al. 2021, PowerBALD)",
        measure="mutual_information",
    ),
    "power_entropy_slices": Traits(
        "slices",
        "Slices drawn in proportion to their entropy (power noise of Kirsch et al. 2021)",
        measure="entropy",
    ),
    "clasp_pe_slices": Traits("slices", f"Slices {_FADING}", measure="entropy"),
    "blend_slices": Traits(
        "slices",
        "A few slices through structures predicted in volumes drawn in proportion to the uncertainty in them (ours)",
        measure="entropy",
        offered_first=True,
    ),
    "coreset_slices": Traits(
        "slices", "Slices that cover what the model sees in the pool (core-set)", needs=Needs.FEATURES
    ),
    "typiclust_slices": Traits(
        "slices", "Slices that are typical of what the model sees in the pool (TypiClust)", needs=Needs.FEATURES
    ),
    "foreground_random_oracle_slices": Traits(
        "slices",
        "Slices at random, two thirds of those with true foreground (nnActive's baseline)",
        needs=Needs.REFERENCE_LABELS,
    ),
    **dict(_of_measures()),
}
"""All strategies by name, in the order in which documents list them."""


def traits_of(strategy: str) -> Traits:
    """The entry of a strategy.

    Raises:
        NotFoundError: there is no strategy of that name; the text lists those that a project can have.
    """
    if strategy not in TRAITS:
        known = sorted(name for name, traits in TRAITS.items() if traits.needs is not Needs.REFERENCE_LABELS)
        raise NotFoundError(f"strategy '{strategy}' does not exist: use one of {', '.join(known)}")
    return TRAITS[strategy]


def raced_kind(strategy: str) -> ScoreKind:
    """The only score of a volume that a strategy ranks by, for which volumes race.

    Raises:
        NotFoundError: there is no strategy of that name.
        InvalidInputError: it ranks by no score, by scores of two regions, or by scores of slices.
    """
    kind = traits_of(strategy).raced_by
    if kind is None:
        raced = [name for name, traits in TRAITS.items() if traits.raced_by is not None]
        raise InvalidInputError(
            f"racing: volumes race by one score, and the strategy {strategy} does not go by one score of volumes: "
            f"use one of {', '.join(raced)}, or turn racing off"
        )
    return kind


def needs_repeats(measure: str | None) -> bool:
    """Whether a measure is 0 everywhere with fewer than two Monte Carlo repeats; False for None."""
    return measure in REPEATED_MEASURES
