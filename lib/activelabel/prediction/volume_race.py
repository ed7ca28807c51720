"""A race between volumes, each read at its turn; a stopped race can be continued."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.names import ScoreKind
from activelabel.prediction.journal import Journal
from activelabel.prediction.kept_statistics import KeptStatistics
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.racing import race

Sample = Callable[[Tensor], MonteCarloStatistics]
"""A function from a prepared image `(K, W, H, D)` to its statistics."""


@dataclass(frozen=True)
class RaceSettings:
    """The aim of a race: the `k` volumes with the largest score of one kind."""

    kind: ScoreKind
    k: int
    repeats: int
    seed: int

    def as_json(self) -> dict[str, Any]:
        """All settings as one flat dictionary, which identifies the journal."""
        return {**asdict(self.kind), "k": self.k, "repeats": self.repeats, "seed": self.seed}


@dataclass(frozen=True)
class RacedScores:
    """All scores of a volume, and its number of repeats."""

    scores: list[Score]
    repeats: int


def race_volumes(
    names: Sequence[str],
    score: Callable[[str, Sample], list[Score] | None],
    predictor: Predictor,
    settings: RaceSettings,
    journal: Journal,
    advanced: Callable[[int], None] = lambda passes: None,
    expect: Callable[[Sequence[str]], None] = lambda names: None,
) -> dict[str, RacedScores]:
    """Score every volume, with all repeats for those that can be among the top k.

    Args:
        names: the names of the volumes, all different.
        score: `score(name, sample)` reads the volume, calls `sample` once and gives its scores, which include the kind
            of the race; or None if the volume cannot be read: it drops out.
        predictor: samples the repeats.
        settings: the aim of the race.
        journal: holds the scores after each round. With the journal of a stopped race, the race continues at the volume
            where that one stopped; the statistics that it had in memory are sampled again.
        advanced: called for each volume with the number of repeats that were added.
        expect: called before each round with the volumes that are read in it, in order.

    Returns:
        The latest scores of each volume that has any, most repeats first, ties by name.
    """
    step = _Step(score, predictor, settings, journal, advanced)
    race(names, step, settings.k, settings.repeats, lambda racing, last: expect(step.unsampled(racing, last)))
    return dict(sorted(step.latest.items(), key=lambda item: (-item[1].repeats, item[0])))


class _Step:
    """The step that `race` calls to add repeats to a volume. Attribute `latest`: the scores of each volume so far."""

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
        self._kept_statistics = KeptStatistics()
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

    def unsampled(self, names: Sequence[str], last: int) -> list[str]:
        """Those of `names` that the journal does not have with `last` repeats."""
        return [name for name in names if not self._found.get((name, last))]

    def _sampled(self, name: str, repeats: int) -> list[Score] | None:
        statistics = MonteCarloStatistics()

        def sample(image: Tensor) -> MonteCarloStatistics:
            nonlocal statistics
            statistics = self._kept_statistics.sample(name, self._predictor, image, repeats, self._settings.seed)
            return statistics

        scores = self._score(name, sample)
        if scores is None:
            return None
        self._journal.add({"image": name, "repeats": repeats, "scores": [asdict(score) for score in scores]})
        if repeats < self._settings.repeats:
            self._kept_statistics.keep(name, self._raced_by(scores), statistics)
        return scores

    def _raced_by(self, scores: list[Score]) -> float:
        return next(score.value for score in scores if score.kind == self._settings.kind)


def _score(fields: dict[str, Any]) -> Score:
    """The score from its JSON fields, where tuples are lists."""
    slices = fields["slices"]
    return Score(**{**fields, "slices": None if slices is None else tuple(slices)})
