"""The worklist: each case with its state, who brought it about, since when, and the note that belongs to it."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from activelabel.server.actions.blind import EVERYTHING, Blindfold
from activelabel.server.actions.case_answers import LabelOfCase, ReviewOfCase, Worklist, WorklistCase
from activelabel.store.case_states import CaseFacts, CaseState, Verdict
from activelabel.store.cases.case_facts import UNTOUCHED
from activelabel.store.ledger import Ledger
from activelabel.store.records.images import Image
from activelabel.store.records.labels import Annotation, Draft
from activelabel.store.records.queries import Lease, Skip
from activelabel.store.records.reviews import Review

PAGE, LARGEST_PAGE = 1000, 10_000
"""How many cases one answer has if a client says nothing, and at most."""
Since = tuple[list[str], datetime | None, str]
"""Who brought a state about, since when it holds, and the note that belongs to it."""


class WorklistReader:
    """Reads what the worklist needs of the cases to which something has happened; of all others only a page."""

    def __init__(
        self, ledger: Ledger, blind: Blindfold = EVERYTHING, name_of: Callable[[str], str] = lambda image_id: image_id
    ) -> None:
        """Read the cases for somebody who must not be told what `blind` hides; `name_of` names an image for people."""
        self._ledger = ledger
        self._name_of = name_of
        self._blind = blind
        facts = ledger.touched_case_facts()
        usable = ledger.usable(facts)
        self._facts = {image_id: facts[image_id] for image_id in facts if image_id in usable}
        self._labels = {label.image_id: label for label in ledger.annotations()}
        self._decisions = ledger.standing_decisions()
        self._under_review = {review.image_id: review for review in ledger.open_reviews()}
        self._differing = ledger.disagreements()
        self._leases = _by_image(ledger.active_leases())
        self._drafts = _by_image(ledger.open_drafts())
        self._skips = _by_image([*ledger.skipped_for_now(), *ledger.set_aside_cases()])

    def read(
        self, states: Collection[CaseState] = (), person: str | None = None, limit: int = PAGE, after: str = ""
    ) -> Worklist:
        """The cases in some states, or in all if none are given; only those that concern a person, if given.

        A case concerns who brought its state about, who has drawn it, and who has a draft of it. The answer has the
        first `limit` cases whose images come after `after`.
        """
        shown = list(itertools.islice(self._cases(states, person, after), limit + 1))
        page = shown[:limit]
        return Worklist(cases=page, counts=self._counts(), next=page[-1].image if len(shown) > limit else None)

    def states(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """The state of each case to which something has happened, and who brought it about."""
        found = ((image_id, facts, self._since(image_id, facts)) for image_id, facts in self._facts.items())
        return {image_id: (facts.state.value, tuple(who)) for image_id, facts, (who, _, _) in found}

    def _counts(self) -> dict[str, int]:
        counts = Counter(facts.state for facts in self._facts.values())
        counts[CaseState.UNSEEN] += self._ledger.count_usable() - len(self._facts)
        return {state.value: counts[state] for state in CaseState}

    def _cases(self, states: Collection[CaseState], person: str | None, after: str) -> Iterator[WorklistCase]:
        """The cases by image, each read when it is asked for."""
        unseen = person is None and (not states or CaseState.UNSEEN in states)
        images = self._ledger.usable_images(after) if unseen else self._touched_images(states, after)
        for image in images:
            if not states or self._facts.get(image.id, UNTOUCHED).state in states:
                case = self._case(image)
                if self._concerns(case, person):
                    yield case

    def _touched_images(self, states: Collection[CaseState], after: str) -> Iterator[Image]:
        """The images to which something has happened, and which are in one of the states."""
        for image_id in sorted(self._facts):
            if image_id > after and (not states or self._facts[image_id].state in states):
                yield self._ledger.image(image_id)

    def _concerns(self, case: WorklistCase, person: str | None) -> bool:
        facts = self._facts.get(case.image, UNTOUCHED)
        return person is None or person in {
            *case.who,
            *case.drafts_of,
            *self._blind.shown(case.image, facts.drawn_by),
        }

    def _case(self, image: Image) -> WorklistCase:
        facts = self._facts.get(image.id, UNTOUCHED)
        who, when, note = self._since(image.id, facts)
        label = self._labels.get(image.id)
        return WorklistCase(
            image=image.id,
            name=self._name_of(image.id),
            role=image.role,
            state=facts.state,
            who=who,
            when=when,
            note=note,
            drafts_of=self._blind.shown(image.id, facts.drafts_of),
            label=None if label is None else label_of_case(label, self._blind),
            review=self._review(image.id, facts),
        )

    def _review(self, image_id: str, facts: CaseFacts) -> ReviewOfCase | None:
        under_way = self._under_review.get(image_id) if facts.reviewed_by is not None else None
        review = under_way or self._decisions.get(image_id)
        return None if review is None else review_of_case(review)

    def _since(self, image_id: str, facts: CaseFacts) -> Since:
        match facts.state:
            case CaseState.UNSEEN:
                return [], None, ""
            case CaseState.LEASED:
                leases = self._leases[image_id]
                who = self._blind.shown(image_id, facts.held_by)
                reason = self._told(image_id, leases[-1].annotator, leases[-1].reason)
                return who, max(lease.granted_at for lease in leases), reason
            case CaseState.DRAFT:
                draft = self._drafts[image_id][-1]
                who = self._blind.shown(image_id, facts.drafts_of)
                return who, draft.created_at, self._told(image_id, draft.annotator, draft.why)
            case CaseState.SKIPPED | CaseState.CANNOT:
                skip = self._skips[image_id][-1]
                skippers = {skip.annotator} if facts.state is CaseState.CANNOT else facts.skipped_by
                return sorted(skippers), skip.created_at, skip.reason
            case CaseState.IN_REVIEW:
                review = self._under_review[image_id]
                return [review.reviewer], review.begun_at, review.note
            case CaseState.APPROVED | CaseState.RETURNED:
                review = self._decisions[image_id]
                return [review.reviewer], review.ended_at, review.note
            case CaseState.FINISHED | CaseState.PARTLY:
                label, reading = self._labels[image_id], self._differing.get(image_id)
                note = "" if reading is None else f"two readings differ: {reading.in_words}"
                return self._blind.shown(image_id, [label.annotator]), label.created_at, note

    def _told(self, image_id: str, annotator: str, line: str) -> str:
        """What an annotator's case is noted with; nothing if it would tell what they have drawn."""
        return "" if self._blind.hides(image_id, annotator) else line


def label_of_case(label: Annotation, blind: Blindfold) -> LabelOfCase:
    """A final label for clients."""
    return LabelOfCase(
        annotator=None if blind.hides(label.image_id, label.annotator) else label.annotator,
        version=label.version,
        saved=label.created_at,
        slices=None if label.slices is None else list(label.slices),
    )


def review_of_case(review: Review) -> ReviewOfCase:
    """A review for clients."""
    when = review.ended_at or review.begun_at
    assert when is not None
    return ReviewOfCase(
        reviewer=review.reviewer,
        verdict=None if review.outcome is None else Verdict(review.outcome),
        note=review.note,
        difficulty=review.difficulty,
        when=when,
    )


Item = TypeVar("Item", Draft, Lease, Skip)


def _by_image(items: Iterable[Item]) -> dict[str, list[Item]]:
    found = defaultdict[str, list[Item]](list)
    for item in items:
        found[item.image_id].append(item)
    return found
