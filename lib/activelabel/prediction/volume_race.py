"""A race between volumes that are read when it is their turn, and that can be stopped and gone on with at any time."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.names import ScoreKind
from activelabel.prediction.journal import Journal
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.racing import race
from activelabel.prediction.shelf import StatisticsShelf

Sample = Callable[[Tensor], MonteCarloStatistics]
"""From a prepared image `(1, W, H, D)` to its statistics."""


@dataclass(frozen=True)
class RaceSettings:
    """What is raced for: the `k` volumes with the largest score of one kind."""

    kind: ScoreKind
    k: int
    repeats: int
    seed: int

    def as_json(self) -> dict[str, Any]:
        """All of it, flat: what a journal is recognised by."""
        return {**asdict(self.kind), "k": self.k, "repeats": self.repeats, "seed": self.seed}


@dataclass(frozen=True)
class RacedScores:
    """All scores of a volume, and after how many repeats."""

    scores: list[Score]
    repeats: int


def race_volumes(
    names: Sequence[str],
    score: Callable[[str, Sample], list[Score] | None],
    predictor: Predictor,
    settings: RaceSettings,
    journal: Journal,
    advanced: Callable[[int], None] = lambda passes: None,
) -> dict[str, RacedScores]:
    """Score every volume, those that can be among the top k with all repeats.

    Args:
        names: of the volumes, all different.
        score: `score(name, sample)` reads the volume, calls `sample` once and gives its scores, among which is the one
            that is raced by; or None, if the volume cannot be read, and is out.
        predictor: what samples.
        settings: what is raced for.
        journal: holds the scores after each round. A race with the journal of one that was stopped goes on with the
            volume at which that stopped; the statistics it had in memory are sampled anew.
        advanced: told of each volume by how many repeats it went on.

    Returns:
        The latest scores of each volume that has any, those with most repeats first, by name among equals.
    """
    step = _Step(score, predictor, settings, journal, advanced)
    race(names, step, settings.k, settings.repeats)
    return dict(sorted(step.latest.items(), key=lambda item: (-item[1].repeats, item[0])))


class _Step:
    """What `race` calls to take a volume on. Attribute `latest`: what each volume has by now."""

    def __init__(
        self,
        score: Callable[[str, Sample], list[Score] | None],
        predictor: Predictor,
        settings: RaceSettings,
        journal: Journal,
        advanced: Callable[[int], None],
    ) -> None:
        self.latest: dict[str, RacedScores] = {}
        self._score = score
        self._predictor = predictor
        self._settings = settings
        self._journal = journal
        self._advanced = advanced
        self._shelf = StatisticsShelf()
        self._found = {
            (entry["image"], entry["repeats"]): [_score(fields) for fields in entry["scores"]]
            for entry in journal.entries
        }

    def __call__(self, name: str, first: int, last: int) -> float | None:
        scores = self._found.get((name, last)) or self._sampled(name, last)
        self._advanced(last - first)
        if scores is None:
            return None
        self.latest[name] = RacedScores(scores, last)
        return self._raced_by(scores)

    def _sampled(self, name: str, repeats: int) -> list[Score] | None:
        statistics = MonteCarloStatistics()

        def sample(image: Tensor) -> MonteCarloStatistics:
            nonlocal statistics
            statistics = self._shelf.sample(name, self._predictor, image, repeats, self._settings.seed)
            return statistics

        scores = self._score(name, sample)
        if scores is None:
            return None
        self._journal.add({"image": name, "repeats": repeats, "scores": [asdict(score) for score in scores]})
        if repeats < self._settings.repeats:
            self._shelf.keep(name, self._raced_by(scores), statistics)
        return scores

    def _raced_by(self, scores: list[Score]) -> float:
        return next(score.value for score in scores if score.kind == self._settings.kind)


def _score(fields: dict[str, Any]) -> Score:
    """From JSON, which has lists only."""
    slices = fields["slices"]
    return Score(**{**fields, "slices": None if slices is None else tuple(slices)})
