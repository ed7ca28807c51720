"""Actions of annotators on a case, other than drawing: ask for it, skip it, bring it back, finish a draft."""

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from activelabel.data.slice_places import slice_places
from activelabel.data.slices import slice_axis
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError, NotFoundError, NotReadyError
from activelabel.project.project import Project
from activelabel.server.actions.blind import EVERYTHING, Blindfold
from activelabel.server.actions.case_answers import (
    ActiveNoted,
    CurrentQuery,
    QueryAnswer,
    Released,
    Worklist,
)
from activelabel.server.actions.case_json import draft_as_json, kept_as_json, readings_as_json, skip_as_json
from activelabel.server.actions.slice_answers import places_of_slices, slices_asked
from activelabel.server.actions.worklist import PAGE, WorklistReader, review_of_case
from activelabel.server.client_info import annotator_of
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.known import require_known
from activelabel.store.case_states import CaseState, Verdict
from activelabel.store.cases.skips import CANNOT, NOT_NOW
from activelabel.store.records.queries import Skip
from activelabel.strategies.asking import reason_of
from activelabel.strategies.case_requests import FORM_SKIP, SkipRequest, skip_request
from activelabel.strategies.second_readings import read_twice

logger = logging.getLogger(__name__)

SAME_REQUEST_SECONDS = 2.0
"""A second request within this time is a double click or a repeat by the client; it does not skip the case."""


class CaseActions:
    """Actions on cases, which the routes call for annotators."""

    def __init__(
        self,
        project: Project,
        datastore: LedgerDatastore,
        strategies: Mapping[str, Strategy],
        look_for_work: Callable[[], None],
        expect: Callable[[str, str], None] = lambda annotator, strategy: None,
    ) -> None:
        """Act on the cases of `project`; `datastore` has the images, `strategies` choose the next case.

        `look_for_work` is called after a case returns to the pool or is finished, `expect` after an annotator was given
        one by a strategy.
        """
        self._project = project
        self._datastore = datastore
        self._strategies = strategies
        self._look_for_work = look_for_work
        self._expect = expect

    def next_sample(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The next case. A request with `skip` (and a `reason`) skips the case that the annotator holds first.

        The case opens with the annotator's own draft, if they have one.

        Raises:
            NotFoundError: there is no such strategy.
            InvalidInputError: the skip is invalid, or the form still has the previous one.
            NotReadyError: the case cannot be skipped.
        """
        strategy = str(request.get("strategy") or "random")
        require_known(strategy, self._strategies, "strategy")
        with self._project.ledger.one_look():
            sample = self._next_sample(request, strategy)
        if sample:
            self._expect(annotator_of(request), strategy)
        return sample

    def _next_sample(self, request: Mapping[str, Any], strategy: str) -> dict[str, Any]:
        annotator, wanted = annotator_of(request), skip_request(request)
        skipped = self._skip_before_asking(annotator, wanted)
        sample: dict[str, Any] = self._strategies[strategy](request, self._datastore)
        if not sample:
            return {}
        sample["path"] = str(self._datastore.shown_file(sample["id"]))
        draft = self._datastore.open_for(sample["id"], annotator)
        if draft is not None:
            stored = self._datastore.get_image_info(sample["id"])
            name = sample.get("PatientID") or stored.get("PatientID") or sample["id"]
            sample |= {"PatientID": f"{name} | draft", "draft": draft_as_json(draft)}
        return sample if skipped is None else {**sample, "skipped": skip_as_json(skipped)}

    def _skip_before_asking(self, annotator: str, wanted: SkipRequest | None) -> Skip | None:
        if wanted is not None:
            self._refuse_left_in_form(annotator, wanted)
            skipped = self._project.ledger.skip_case(annotator, wanted.kind, wanted.reason)
        else:
            within = self._project.settings.skip_by_asking_again
            skipped = self._project.ledger.skip_if_asked_again(annotator, SAME_REQUEST_SECONDS, within)
        if skipped is not None:
            logger.info("%s is skipped by %s: %s %s", skipped.image_id, annotator, skipped.kind, skipped.reason)
        return skipped

    def _refuse_left_in_form(self, annotator: str, wanted: SkipRequest) -> None:
        """Refuse a skip whose form still has the previous answer and would set aside case after case."""
        held = self._project.ledger.active_lease(annotator)
        if held is None or not wanted.by_form or wanted.kind != CANNOT:
            return
        before = [skip for skip in self._project.ledger.skips() if skip.annotator == annotator]
        if before and (before[-1].kind, before[-1].reason) == (wanted.kind, wanted.reason):
            raise InvalidInputError(
                f"'{FORM_SKIP}' is set to '{CANNOT}' as it was for {before[-1].image_id}: set it to 'no', or give the "
                f"reason of {held.image_id} in other words"
            )

    def skip_case(self, params: Mapping[str, Any], image_id: str | None) -> dict[str, Any]:
        """Skip the case that an annotator holds, or the image `image_id`, without asking for the next case.

        Without an id, an annotator who holds no case skips the last one whose lease expired.

        Raises:
            InvalidInputError: the skip is invalid, or `no`.
            NotReadyError: there is no such case, or the image is finished, set aside, or held by somebody else.
        """
        annotator = annotator_of(params)
        wanted = skip_request({**params, "skip": params.get("skip") or NOT_NOW})
        if wanted is None:
            raise InvalidInputError(f'skip: expected "{NOT_NOW}" or "{CANNOT}", got {str(params["skip"])[:80]!r}')
        skipped = self._project.ledger.skip_case(annotator, wanted.kind, wanted.reason, image_id)
        if skipped is None:
            raise NotReadyError(f"{annotator} holds no case that could be skipped: ask for one, or name an image")
        logger.info("%s is skipped by %s: %s %s", skipped.image_id, annotator, skipped.kind, skipped.reason)
        return {**skip_as_json(skipped), "state": self._project.ledger.case_facts(skipped.image_id).state.value}

    def current_query(self, params: Mapping[str, Any]) -> QueryAnswer:
        """The query that an annotator holds, with everything that a client shows of it."""
        annotator, ledger = annotator_of(params), self._project.ledger
        held = ledger.active_lease(annotator)
        if held is None:
            return QueryAnswer(query=None)
        grid = read_grid(self._datastore.image_files(held.image_id))
        fixed = ledger.image(held.image_id).slice_axis
        axis = slice_axis(grid, self._project.slice_plane) if fixed is None else fixed
        places = slice_places(grid, axis)
        by_slice = held.slices is not None
        returned = {label.image_id: review for label, review in ledger.returned_to(annotator)}.get(held.image_id)
        query = CurrentQuery(
            image=held.image_id,
            role=ledger.image(held.image_id).role,
            kind="slices" if by_slice else "volume",
            axis=axis if by_slice else None,
            plane=places.plane if by_slice else None,
            towards=places.towards if by_slice else None,
            slices=slices_asked(places, held.slices or ()),
            places=places_of_slices(places, axis),
            reason=reason_of(held, self._project),
            strategy=held.strategy,
            score=held.score,
            model_version=held.model_version,
            granted=held.granted_at,
            expires=held.expires_at,
            draft=ledger.open_draft(held.image_id, annotator) is not None,
            returned=None if returned is None else review_of_case(returned),
        )
        return QueryAnswer(query=query)

    def release(self, params: Mapping[str, Any]) -> Released:
        """Let go of what somebody holds, as an annotator and as a reviewer, without a label, a skip or a decision."""
        person = annotator_of(params)
        query, review = self._project.ledger.release_lease(person), self._project.ledger.end_review(person)
        return Released(query=query and query.image_id, review=review and review.image_id)

    def note_active(self, params: Mapping[str, Any], seconds: float, image_id: str | None) -> ActiveNoted:
        """Add active seconds to what an annotator works on: their newest query without a label, or that of an image.

        Raises:
            NotReadyError: the annotator has no such query.
        """
        query = self._project.ledger.note_active(annotator_of(params), seconds, image_id)
        return ActiveNoted(image=query.image_id, active_seconds=query.active_seconds or 0.0)

    def worklist(
        self,
        states: Collection[CaseState] = (),
        person: str | None = None,
        limit: int = PAGE,
        after: str = "",
        blind: Blindfold = EVERYTHING,
    ) -> Worklist:
        """The cases of the project, without what is hidden from who asks: see `WorklistReader.read`."""
        return WorklistReader(self._project.ledger, blind, self._name_of).read(states, person, limit, after)

    def _name_of(self, image_id: str) -> str:
        return str(self._datastore.get_image_info(image_id).get("PatientID") or image_id)

    def draft_file(self, params: Mapping[str, Any], image_id: str) -> Path:
        """The file of an annotator's open draft.

        Raises:
            NotFoundError: the annotator has no draft of this image.
            InvalidInputError: the file has changed on disk since it was kept.
        """
        annotator = annotator_of(params)
        draft = self._project.ledger.open_draft(image_id, annotator)
        if draft is None:
            raise NotFoundError(f"image '{image_id}': {annotator} has no draft of it")
        return self._datastore.kept_file(draft)

    def bring_back(self, params: Mapping[str, Any], image_id: str) -> dict[str, Any]:
        """Return a case that was set aside to the pool.

        Raises:
            NotReadyError: the case is not set aside.
        """
        self._project.ledger.bring_back(image_id, annotator_of(params))
        self._look_for_work()
        return {"id": image_id, "state": self._project.ledger.case_facts(image_id).state.value}

    def finish_case(self, params: Mapping[str, Any], image_id: str) -> dict[str, Any]:
        """Make an annotator's draft, unchanged, the final label.

        Raises:
            NotFoundError: the annotator has no draft of this image.
        """
        kept = self._datastore.finish_draft(image_id, annotator_of(params))
        self._look_for_work()
        return {"image": image_id, **kept_as_json(kept, self._project.ledger)}

    def cases(self) -> dict[str, Any]:
        """The part `cases` of `GET /info/`: drafts, skipped and set aside cases, review, labels equal to a model's."""
        ledger = self._project.ledger
        outcomes = [review.outcome for review in ledger.standing_decisions().values()]
        return {
            "drafts": [
                {"id": draft.image_id, "annotator": draft.annotator, **draft_as_json(draft)}
                for draft in ledger.open_drafts()
            ],
            "not_now": [skip_as_json(skip) for skip in ledger.skipped_for_now()],
            "cannot_be_annotated": [skip_as_json(skip) for skip in ledger.set_aside_cases()],
            "readings": readings_as_json(ledger, len(read_twice(self._project))),
            "unchanged_from_model": ledger.unchanged_labels(),
            "review": {
                "required": self._project.settings.review,
                "waiting": ledger.count_waiting_for_review(),
                **{verdict.value: outcomes.count(verdict.value) for verdict in Verdict},
            },
        }
