"""The part that all strategies share: leasing the next case, or slices of a case, to an annotator.

A strategy only *proposes* cases, best first, each with the reason. This module does the rest for all of them: an
annotator with an unfinished query gets it back; the annotator's own drafts come first, then what a reviewer returned to
them, then what waits for a second reading, then the validation cases that are due, then the strategy's proposals; the
first of these that nobody else holds is leased to the annotator who asks.
"""

import itertools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timezone
from typing import Any

from activelabel.data.slice_places import slice_places
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError
from activelabel.project.client_kind import client_kind
from activelabel.project.images import DescribedImages
from activelabel.project.project import Project
from activelabel.project.setting_aside import set_aside, set_aside_unreadable
from activelabel.project.slices.names import slices_named
from activelabel.project.slices.slicing import count_slices
from activelabel.store.records.images import Slices
from activelabel.store.records.queries import AtHand, Lease
from activelabel.strategies.proposal import Proposal, Proposals, validation_due
from activelabel.strategies.second_readings import second_readings

logger = logging.getLogger(__name__)

_UNASKED = "drawn on before it was asked for"


class ProjectStrategy:
    """A strategy of this project: strategies differ only in name, proposals and description."""

    def __init__(
        self, project: Project, name: str, propose: Proposals, description: str, *, is_cheap: bool = True
    ) -> None:
        """`is_cheap`: its proposals cost so little that `look` may read them beside a question."""
        self.description = description
        self.is_cheap = is_cheap
        self._project = project
        self._name = name
        self._propose = propose

    def proposals(self) -> Iterator[Proposal]:
        """Cases to ask for: the validation cases that are due, then the strategy's proposals, best first.

        At the moment it is proposed, no case is leased or annotated completely.
        """
        return itertools.chain(validation_due(self._project), self._propose(self._project))

    def next(self, annotator: str, images: DescribedImages) -> dict[str, Any]:
        """Lease the next case to an annotator; `{}` if no readable case is left.

        The annotator's own drafts come first, then the labels that were returned to them. Cases that they skipped for
        now, and cases of which somebody else has a draft or a returned label, come last.
        """
        with self._project.ledger.one_look():
            return self._choose(annotator, images)

    def look(self, annotator: str, without: Collection[str] = ()) -> Proposal | None:
        """What `next` would lease to an annotator who had answered what they hold; None if nothing is left.

        Nothing changes. Images are not read, so `next` passes over one that cannot be used; `without` are such images.
        """
        ledger = self._project.ledger
        with ledger.one_look():
            at_hand = ledger.at_hand(annotator)
            for propose in self._turns(annotator, at_hand):
                for found in propose():
                    strategy = found.strategy or self._name
                    if found.image_id not in without and ledger.would_grant(
                        annotator, found.image_id, strategy, found.slices
                    ):
                        return found
        return None

    def _choose(self, annotator: str, images: DescribedImages) -> dict[str, Any]:
        at_hand = self._project.ledger.at_hand(annotator)
        held = self._project.ledger.active_lease(annotator) if at_hand.held else None
        for propose in self._turns(annotator, at_hand):
            given = self._next(annotator, images, propose, held)
            if given:
                return given
            held = None
        return {}

    def _turns(self, annotator: str, at_hand: AtHand) -> Iterator[Callable[[], Iterable[Proposal]]]:
        """What is proposed to an annotator: all but what is passed over for them, then, if there is such, all."""
        any_passed_over = at_hand.skipped or at_hand.drafts or at_hand.returned
        passed_over = self._project.ledger.passed_over(annotator) if any_passed_over else []
        places = {image_id: place for place, image_id in enumerate(passed_over)}
        yield lambda: (one for one in self._all(annotator, at_hand) if one.image_id not in places)
        if passed_over:
            yield lambda: sorted(self._all(annotator, at_hand), key=lambda one: places.get(one.image_id, -1))

    def _all(self, annotator: str, at_hand: AtHand) -> Iterator[Proposal]:
        """The annotator's drafts, what was returned to them, second readings, then the strategy's proposals."""
        drafts = drafts_to_finish(self._project, annotator) if at_hand.drafts else ()
        returned = returned_labels(self._project, annotator) if at_hand.returned else ()
        return itertools.chain(drafts, returned, second_readings(self._project, annotator), self.proposals())

    def _next(
        self,
        annotator: str,
        images: DescribedImages,
        propose: Callable[[], Iterable[Proposal]],
        held: Lease | None = None,
    ) -> dict[str, Any]:
        """Give the query that the annotator holds, else lease the first available proposal.

        Others may have taken all proposed cases although more are left: then the strategy proposes again, until it
        proposes nothing new.
        """
        tried = set[tuple[str, Slices]]()
        while True:
            tried_before = len(tried)
            lease = held or lease_first(self._project, annotator, self._name, self._readable(propose(), images, tried))
            if lease is not None:
                try:
                    return answer(lease, self._project, images)
                except InvalidInputError as error:  # damaged since it was leased: set_aside ends the lease
                    set_aside(lease.image_id, error, self._project.ledger, images)
                    held = None
                    continue
            if len(tried) == tried_before:
                return {}

    def _readable(
        self, proposals: Iterable[Proposal], images: DescribedImages, tried: set[tuple[str, Slices]]
    ) -> Iterator[Proposal]:
        """The proposals not tried before, each added to `tried`; an unreadable image is set aside and not proposed."""
        preprocessing = self._project.preprocessing
        for proposal in proposals:
            if (proposal.image_id, proposal.slices) in tried:
                continue
            tried.add((proposal.image_id, proposal.slices))
            scored = proposal.score is not None
            if not set_aside_unreadable(
                proposal.image_id,
                images,
                self._project.ledger,
                was_scored=scored,
                preprocessing=preprocessing,
            ):
                yield proposal


class SliceStrategy(ProjectStrategy):
    """A strategy that asks for slices: one query has all slices that a round takes from one volume."""

    def next(self, annotator: str, images: DescribedImages) -> dict[str, Any]:
        """Count the slices of all images, then do the same as `ProjectStrategy.next`."""
        count_slices(self._project, images)
        return super().next(annotator, images)


def drafts_to_finish(project: Project, annotator: str) -> Iterator[Proposal]:
    """The drafts of an annotator, oldest first; of slices, only those that nobody has annotated since.

    The reason is why they were asked for the case: `reason_of` adds the draft.
    """
    for draft in project.ledger.drafts_to_finish(annotator):
        before = project.ledger.last_lease(draft.image_id, annotator)
        reason = _UNASKED if before is None else before.reason
        if draft.slices is None:
            yield Proposal(draft.image_id, reason)
            continue
        current = project.ledger.current_annotation(draft.image_id)
        left = set(draft.slices).difference(() if current is None else current.slices or ())
        if left:
            yield Proposal(draft.image_id, reason, slices=tuple(sorted(left)))


def reason_of(lease: Lease, project: Project) -> str:
    """Why its annotator has a case before them: it was chosen for a reason, and they may have drawn on it already."""
    draft = project.ledger.open_draft(lease.image_id, lease.annotator)
    if draft is None:
        return lease.reason
    own = f"your own draft of {draft.created_at.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC: {draft.why}"
    return own if lease.reason in ("", _UNASKED) else f"{lease.reason}; {own}"


def returned_labels(project: Project, annotator: str) -> Iterator[Proposal]:
    """The labels of an annotator that a reviewer has returned, oldest first, with the slices that they cover."""
    for label, review in project.ledger.returned_to(annotator):
        yield Proposal(label.image_id, f"{review.reviewer} returned your label: {review.note}", slices=label.slices)


def lease_first(project: Project, annotator: str, strategy: str, proposals: Iterable[Proposal]) -> Lease | None:
    """A query from the first proposal that can be leased, or one that the annotator was given meanwhile."""
    for proposal in proposals:
        lease = project.ledger.grant_lease(
            annotator,
            proposal.image_id,
            minutes=project.settings.lease_minutes,
            strategy=proposal.strategy or strategy,
            slices=proposal.slices,
            model_version=proposal.model_version,
            score=proposal.score,
            reason=proposal.reason,
        )
        if lease is not None:
            return lease
    return None


def answer(lease: Lease, project: Project, images: DescribedImages) -> dict[str, Any]:
    """A lease as JSON for clients; the `PatientID` of a lease of slices names them, and Slicer shows it.

    `query.slices` are indices from 0 along `query.axis`, for programs; texts for people count as their client does.
    """
    query: dict[str, Any] = {"kind": "volume"}
    shown, reason = {}, reason_of(lease, project)
    if lease.slices is not None:
        grid = read_grid(images.image_files(lease.image_id))
        axis = project.ledger.image(lease.image_id).slice_axis
        assert axis is not None  # the slices were counted before they were leased
        places = slice_places(grid, axis)
        query = {
            "kind": "slices",
            "axis": axis,
            "plane": places.plane,
            "slices": list(lease.slices),
            "positions_mm": [round(float(places.positions_mm[index]), 3) for index in lease.slices],
            "towards": places.towards,
        }
        named = slices_named(places, lease.slices, client_kind.get())
        patient = images.get_image_info(lease.image_id).get("PatientID") or lease.image_id
        shown, reason = {"PatientID": f"{patient} | {named}"}, f"{reason}; draw {named}"
    return {
        "id": lease.image_id,
        **shown,
        "query": query,
        "role": project.ledger.image(lease.image_id).role,
        "score": lease.score,
        "strategy": lease.strategy,
        "model_version": lease.model_version,
        "reason": reason,
        "expires": lease.expires_at.isoformat(),
    }
