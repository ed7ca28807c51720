"""The ranking of a project's models and the one in use, in the words that every client shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activelabel.store.ledger import Ledger
from activelabel.store.models.choice import ranking
from activelabel.store.records.models import Measurement, ModelKind, ModelUse, ModelVersion


@dataclass(frozen=True)
class Standing:
    """All models of a kind, withdrawn ones included, their measurements, and the one in use.

    Attributes:
        models: the models in the order of their versions.
        use: the current use of one of them, None before the first model.
        measured: their measurements in the order in which they were made.
    """

    models: Sequence[ModelVersion]
    use: ModelUse | None
    measured: Sequence[Measurement]

    @property
    def in_use(self) -> ModelVersion | None:
        """The model in use."""
        version = None if self.use is None else self.use.model_version
        return next((model for model in self.models if model.version == version), None)

    @property
    def newest(self) -> ModelVersion | None:
        """The model published last among those not withdrawn."""
        return self.in_service[-1] if self.in_service else None

    @property
    def in_service(self) -> Sequence[ModelVersion]:
        """The models that were not withdrawn, in the order of their versions."""
        return [model for model in self.models if model.withdrawn_at is None]

    @property
    def chosen_by(self) -> str | None:
        """The person who chose the model in use; None if it is used as the best."""
        return None if self.use is None else self.use.chosen_by

    def ranking_of(self, version: int) -> list[Measurement]:
        """The Dice of this model and of all that can be compared with it, best first; empty if it was not judged."""
        return ranking(version, [model.version for model in self.in_service], self.measured)

    def measurement_of(self, version: int) -> Measurement | None:
        """The last measurement of this model by any cases; None if it was not judged."""
        return next((item for item in self.ranking_of(version) if item.model_version == version), None)

    def place_of(self, version: int) -> tuple[int, int] | None:
        """Its place, from 1, among the models judged by the same cases, and their number; None if it was not judged."""
        order = [item.model_version for item in self.ranking_of(version)]
        return (order.index(version) + 1, len(order)) if order else None

    def as_json(self, model: ModelVersion) -> dict[str, Any]:
        """A model as `GET /info/` and the statistics of a training show it."""
        place, measured = self.place_of(model.version), self.measurement_of(model.version)
        in_use = self.in_use
        return {
            "version": model.version,
            "metrics": dict(measured.metrics if measured else model.metrics),
            "trained_on": len(model.trained_on),
            "validation_cases": measured.judges.cases if measured else 0,
            "place": None if place is None else place[0],
            "compared": 0 if place is None else place[1],
            "in_use": in_use is not None and in_use.version == model.version,
        }

    def in_full(self, model: ModelVersion | None) -> dict[str, Any] | None:
        """A model as in `as_json`, with its file; the model in use also has `chosen_by`, None for the best."""
        if model is None:
            return None
        chosen = {"chosen_by": self.chosen_by} if model == self.in_use else {}
        return {**self.as_json(model), **chosen, "file": model.file, "sha256": model.sha256}

    def __str__(self) -> str:
        """A text on the model in use and the reason, and on the place of the newest model if that is another."""
        if self.in_use is None or self.newest is None:
            return "No model yet."
        if self.newest.version == self.in_use.version:
            return f"Model {self.in_use.version} is in use: {self._why()}."
        return f"{self._not_in_use(self.newest.version)} {self._stays(self.in_use.version)}"

    def _why(self) -> str:
        assert self.in_use is not None
        scored, place = self._scored(self.in_use.version), self.place_of(self.in_use.version)
        if self.chosen_by is not None:
            return f"{self.chosen_by} chose it; {scored}"
        if place is None:
            return f"the newest; {scored}"
        others = "the only model judged by them" if place[1] == 1 else f"the best of {place[1]} models judged by them"
        return f"{scored}, {others}" if place[0] == 1 else scored

    def _not_in_use(self, version: int) -> str:
        place = self.place_of(version)
        placed = "" if place is None else f", place {place[0]} of {place[1]}"
        return f"Model {version} was published and is not in use: {self._scored(version)}{placed}."

    def _stays(self, version: int) -> str:
        by = "" if self.chosen_by is None else f", which {self.chosen_by} chose,"
        assert self.newest is not None
        comparable = self.ranking_of(self.newest.version)
        dice = next((item.dice for item in comparable if item.model_version == version), None)
        scored = self._scored(version) if dice is None else f"Dice {dice:.3f} on the same cases"
        way = f"activelabel models --use {self.newest.version}"
        return f"Model {version}{by} stays in use: {scored}. `{way}` puts the newest in use."

    def _scored(self, version: int) -> str:
        measured = self.measurement_of(version)
        if measured is None:
            return "no validation case says how good it is"
        count = measured.judges.cases
        return f"Dice {measured.dice:.3f} on {count} validation case{'s' if count > 1 else ''}"


def read_standing(ledger: Ledger, kind: ModelKind = "task") -> Standing:
    """The current standing from the ledger."""
    return Standing(ledger.models(kind), ledger.model_use(kind), ledger.measurements(kind))
