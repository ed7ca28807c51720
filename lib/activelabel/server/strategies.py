"""Strategies: which case, or which slices of one, an annotator gets next, as the host's clients ask for it.

A strategy only *proposes* cases, best first, each with the reason. `ask` does what all of them share: an annotator who
has not finished gets her own query back; the first proposal that nobody else holds is leased to her.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from activelabel.data.slices import plane_name
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.server.annotator import annotator_of
from activelabel.server.cold_start import coreset_proposals, proxy_rank_proposals, typiclust_proposals
from activelabel.server.project import Project, ScoreKind
from activelabel.server.proposals import highest_proposals, selective_proposals
from activelabel.server.raced_kind import MEAN_MEASURES, UNCERTAINTY_VOLUMES
from activelabel.server.random_proposals import Proposal, random_proposals
from activelabel.server.readability import set_aside_unreadable
from activelabel.server.slice_proposals import (
    highest_slice_proposals,
    peak_proposals,
    random_slice_proposals,
    selective_slice_proposals,
    strided_slice_proposals,
)
from activelabel.server.slicing import count_slices
from activelabel.store.records import Lease, Slices

logger = logging.getLogger(__name__)


class ProjectStrategy(Strategy):
    """A strategy of this project: `proposals` is all that differs between them."""

    summary: ClassVar[str]

    def __init__(self, project: Project, name: str, description: str | None = None) -> None:
        super().__init__(description or self.summary)
        self._project = project
        self._name = name

    def proposals(self) -> Iterator[Proposal]:
        """Cases to ask for, best first. None is leased or annotated when it is proposed."""
        raise NotImplementedError

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Lease the next case to whoever asks; `{}` when nothing is left that can be read.

        Others may have taken all that was proposed while there is more: then it proposes again, until nothing is new.
        """
        annotator, tried = annotator_of(request), set[tuple[str, Slices]]()
        while True:
            tried_before = len(tried)
            lease = ask(self._project, annotator, self._name, self._readable(datastore, tried))
            if lease is not None:
                try:
                    return answer(lease, self._project, datastore)
                except InvalidInputError as error:  # damaged since it was leased: that ends the lease
                    logger.warning("%s is set aside: %s", lease.image_id, error)
                    self._project.ledger.mark_unreadable(lease.image_id, str(error))
                    continue
            if len(tried) == tried_before:
                return {}

    def _readable(self, datastore: Datastore, tried: set[tuple[str, Slices]]) -> Iterator[Proposal]:
        """Proposals that were not `tried`, and that join it; what cannot be read is set aside instead."""
        for proposal in self.proposals():
            if (proposal.image_id, proposal.slices) in tried:
                continue
            tried.add((proposal.image_id, proposal.slices))
            scored = proposal.score is not None
            if not set_aside_unreadable(proposal.image_id, datastore, self._project.ledger, was_scored=scored):
                yield proposal


class RandomVolumes(ProjectStrategy):
    """True random: every case of the pool is equally likely."""

    summary = "Volumes at random: what every other strategy has to beat"

    def proposals(self) -> Iterator[Proposal]:
        """The whole pool in a random order that the seed fixes."""
        return random_proposals(self._project, "drawn at random from the pool")


class HighestScore(ProjectStrategy):
    """Volumes with the largest score of one kind, under the latest model."""

    kind: ClassVar[ScoreKind]

    def proposals(self) -> Iterator[Proposal]:
        """Largest score first; before the first model, as the recipe starts."""
        return highest_proposals(self._project, *self.kind)


class SelectiveScore(ProjectStrategy):
    """ma2024: volumes that are uncertain where the target seems to be, and volumes that are at decision boundaries."""

    measure: ClassVar[str]

    def proposals(self) -> Iterator[Proposal]:
        """The union of both lists, round by round; before the first model, as the recipe starts."""
        return selective_proposals(self._project, self.measure)


class ProxyRank(ProjectStrategy):
    """nath2022: the proxy model's uncertainty, which needs no label and no scoring after each training."""

    summary = "Volumes of which the proxy model is least certain (nath2022, proxy ranking)"

    def proposals(self) -> Iterator[Proposal]:
        """Largest score first; before the proxy model has scored, at random."""
        return proxy_rank_proposals(self._project)


class TypiClust(ProjectStrategy):
    """Hacohen et al. 2022, on the features of the proxy model."""

    summary = "Volumes that are typical of what the proxy model sees in the pool (TypiClust)"

    def proposals(self) -> Iterator[Proposal]:
        """Of each cluster one, of the largest first; before there are features, at random."""
        return typiclust_proposals(self._project)


class CoreSet(ProjectStrategy):
    """Sener and Savarese 2018, on the features of the proxy model."""

    summary = "Volumes that cover what the proxy model sees in the pool (core-set)"

    def proposals(self) -> Iterator[Proposal]:
        """The farthest from all that were asked for first; before there are features, at random."""
        return coreset_proposals(self._project)


class SliceStrategy(ProjectStrategy):
    """Asks for slices: all that a round wants of one volume in one query."""

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """As every strategy, once it is known how many slices there are."""
        count_slices(self._project, datastore)
        return super().__call__(request, datastore)


class RandomSlices(SliceStrategy):
    """chlebus2022, RSS."""

    summary = "Slices at random from all volumes (chlebus2022, RSS)"

    def proposals(self) -> Iterator[Proposal]:
        """Round by round, in an order that the seed fixes."""
        return random_slice_proposals(self._project, "drawn at random from all slices", self._project.recipe.query.size)


class StridedSlices(SliceStrategy):
    """A strong simple baseline: what a reader draws who lets her tool interpolate."""

    summary = "Every n-th slice of volumes at random"

    def proposals(self) -> Iterator[Proposal]:
        """Volume by volume."""
        return strided_slice_proposals(self._project, "drawn at random")


class SlicePeaks(SliceStrategy):
    """chlebus2022, USS."""

    summary = "Slices at the largest peaks of mean entropy, of all volumes (chlebus2022, USS)"

    def proposals(self) -> Iterator[Proposal]:
        """Largest peak first; before the first model, what the recipe starts with."""
        return peak_proposals(self._project)


class HighestSlices(SliceStrategy):
    """ma2024's base methods: slices with the largest sum of a measure."""

    measure: ClassVar[str]

    def proposals(self) -> Iterator[Proposal]:
        """Largest sum first; before the first model, what the recipe starts with."""
        return highest_slice_proposals(self._project, self.measure)


class SelectiveSlices(SliceStrategy):
    """ma2024 as it is in the paper, where samples are slices."""

    measure: ClassVar[str]

    def proposals(self) -> Iterator[Proposal]:
        """The union of both lists, round by round; before the first model, what the recipe starts with."""
        return selective_slice_proposals(self._project, self.measure)


SUMMARIES = {
    "variance": "predictions vary most between Monte Carlo repeats (rahimi2022, eq. 1; MC dropout in ma2024)",
    "entropy": "mean prediction has the largest entropy (chlebus2022, eq. 2)",
    "mutual_information": "Monte Carlo repeats disagree most, noise in the image left out (BALD)",
    "least_confidence": "most probable class is least probable",
    "margin": "two most probable classes are closest",
}


def _strategies() -> dict[str, type[ProjectStrategy]]:
    """Each measure plain and selective, of volumes and of slices; those of chlebus2022; and random."""
    uvs = {
        "kind": UNCERTAINTY_VOLUMES,
        "summary": "Volumes with the largest mean entropy in and around the predicted foreground (chlebus2022, UVS)",
    }
    kinds: dict[str, type[ProjectStrategy]] = {
        "random_volumes": RandomVolumes,
        "uncertainty_volumes": type("UncertaintyVolumes", (HighestScore,), uvs),
        "random_slices": RandomSlices,
        "strided_slices": StridedSlices,
        "uncertainty_slices": SlicePeaks,
    }
    for name, kind in MEAN_MEASURES.items():
        summary = f"Volumes with the largest mean {kind[0]} of Monte Carlo repeats (nath2022, 3.4)"
        kinds[name] = type(name, (HighestScore,), {"kind": kind, "summary": summary})
    for measure, said in SUMMARIES.items():
        whole = {"kind": (measure, "everything", "total"), "summary": f"Volumes whose {said}"}
        kinds[measure] = type(measure, (HighestScore,), whole)
        selective = {"measure": measure, "summary": f"Volumes whose {said}, near targets or boundaries (ma2024, eq. 5)"}
        kinds[f"selective_{measure}"] = type(f"selective_{measure}", (SelectiveScore,), selective)
        slices = {"measure": measure, "summary": f"Slices whose {said}"}
        kinds[f"{measure}_slices"] = type(f"{measure}_slices", (HighestSlices,), slices)
        near = {"measure": measure, "summary": f"Slices whose {said}, near targets or boundaries (ma2024, eq. 5)"}
        kinds[f"selective_{measure}_slices"] = type(f"selective_{measure}_slices", (SelectiveSlices,), near)
    return kinds


STRATEGIES = _strategies()
PROXY_STRATEGIES: dict[str, type[ProjectStrategy]] = {
    "proxy_rank": ProxyRank,
    "typiclust": TypiClust,
    "coreset": CoreSet,
}
"""Those that go by a proxy model: there where the recipe has one."""


def build_strategies(project: Project) -> dict[str, Strategy]:
    """All strategies by name, and `random`, the only name that OHIF knows, as the recipe's own.

    Raises:
        NotFoundError: the recipe names one that does not exist; the text lists those there are.
    """
    own = project.recipe.query.strategy
    kinds = STRATEGIES if project.recipe.proxy is None else STRATEGIES | PROXY_STRATEGIES
    if own not in kinds:
        raise NotFoundError(f"query.strategy '{own}' does not exist: use one of {', '.join(sorted(kinds))}")
    built: dict[str, Strategy] = {name: kind(project, name) for name, kind in kinds.items()}
    built["random"] = kinds[own](
        project, own, f"The strategy of the recipe {project.recipe.name}, which is {own}, under the name OHIF asks for"
    )
    return built


def ask(project: Project, annotator: str, strategy: str, proposals: Iterable[Proposal]) -> Lease | None:
    """The annotator's unfinished query, or a new one from the first proposal that can be leased; None if none can."""
    held = project.ledger.active_lease(annotator)
    if held is not None:
        return held
    for proposal in proposals:
        lease = project.ledger.grant_lease(
            annotator,
            proposal.image_id,
            minutes=project.settings.lease_minutes,
            strategy=strategy,
            slices=proposal.slices,
            model_version=proposal.model_version,
            score=proposal.score,
            reason=proposal.reason,
        )
        if lease is not None:
            return lease
    return None


def answer(lease: Lease, project: Project, datastore: Datastore) -> dict[str, Any]:
    """A lease as clients read it; of slices with a `PatientID` that names them, which is what Slicer shows."""
    query: dict[str, Any] = {"kind": "volume"}
    shown = {}
    if lease.slices is not None:
        grid = read_grid(datastore.get_image_uri(lease.image_id))
        axis = project.ledger.image(lease.image_id).slice_axis
        assert axis is not None  # somebody counted the slices before they were leased
        query = {
            "kind": "slices",
            "axis": axis,
            "plane": plane_name(grid, axis),
            "slices": list(lease.slices),
        }
        patient = datastore.get_image_info(lease.image_id).get("PatientID") or lease.image_id
        shown = {"PatientID": f"{patient} | {query['plane']} {', '.join(map(str, lease.slices))}"}
    return {
        "id": lease.image_id,
        **shown,
        "query": query,
        "score": lease.score,
        "strategy": lease.strategy,
        "model_version": lease.model_version,
        "reason": lease.reason,
        "expires": lease.expires_at.isoformat(),
    }
