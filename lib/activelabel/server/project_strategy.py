"""What all strategies share: which case, or which slices of one, an annotator gets next, as the host's clients ask.

A strategy only *proposes* cases, best first, each with the reason. `ask` does what all of them share: an annotator who
has not finished gets her own query back; the first proposal that nobody else holds is leased to her.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from activelabel.data.slices import plane_name
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError
from activelabel.server.annotator import annotator_of
from activelabel.server.project import Project
from activelabel.server.random_proposals import Proposal
from activelabel.server.readability import set_aside, set_aside_unreadable
from activelabel.server.slicing import count_slices
from activelabel.store.records import Lease, Slices

logger = logging.getLogger(__name__)


class ProjectStrategy(Strategy):
    """A strategy of this project: what it proposes, and one line on it, is all that differs between them."""

    summary: ClassVar[str]
    propose: ClassVar[Callable[[Project], Iterator[Proposal]]]

    def __init__(self, project: Project, name: str, description: str | None = None) -> None:
        super().__init__(description or self.summary)
        self._project = project
        self._name = name

    def proposals(self) -> Iterator[Proposal]:
        """Cases to ask for, best first. None is leased or annotated when it is proposed."""
        return type(self).propose(self._project)

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
                    set_aside(lease.image_id, error, self._project.ledger, datastore)
                    continue
            if len(tried) == tried_before:
                return {}

    def _readable(self, datastore: Datastore, tried: set[tuple[str, Slices]]) -> Iterator[Proposal]:
        """Proposals that were not `tried`, and that join it; what cannot be read is set aside instead."""
        preprocessing = self._project.preprocessing
        for proposal in self.proposals():
            if (proposal.image_id, proposal.slices) in tried:
                continue
            tried.add((proposal.image_id, proposal.slices))
            scored = proposal.score is not None
            if not set_aside_unreadable(
                proposal.image_id,
                datastore,
                self._project.ledger,
                was_scored=scored,
                preprocessing=preprocessing,
            ):
                yield proposal


class SliceStrategy(ProjectStrategy):
    """Asks for slices: all that a round wants of one volume in one query."""

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """As every strategy, once it is known how many slices there are."""
        count_slices(self._project, datastore)
        return super().__call__(request, datastore)


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
        "role": project.ledger.image(lease.image_id).role,
        "score": lease.score,
        "strategy": lease.strategy,
        "model_version": lease.model_version,
        "reason": lease.reason,
        "expires": lease.expires_at.isoformat(),
    }
