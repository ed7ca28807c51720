"""Three people in any order of events: no drawing is lost, and every case stays available to somebody."""

import re
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from recorded import record_annotation, record_draft

from activelabel.errors import NotFoundError, NotReadyError
from activelabel.store.case_states import MOVES, CaseEvent, CaseState, DraftReason, Verdict, refusal
from activelabel.store.cases.case_facts import UNTOUCHED
from activelabel.store.cases.new_annotation import Compared
from activelabel.store.cases.skips import CANNOT, NOT_NOW
from activelabel.store.records.labels import SECOND
from activelabel.store.records.queries import SECOND_READING, Skip
from activelabel.store.records.reviews import Agreement
from activelabel.store.schema.base import Base

IMAGES, ANNOTATORS = ("a", "b", "c"), ("ann", "bob", "eve")
TAKES = ("first", "second", "merged")
images, annotators = st.sampled_from(IMAGES), st.sampled_from(ANNOTATORS)


class Cases(RuleBasedStateMachine):
    """Events as a server causes them. The state machine must know each, and give the state in which it ends."""

    def __init__(self, ledger, clock):
        super().__init__()
        self.ledger, self.clock, self.names = ledger, clock, count()
        self.skips: list[Skip] = []
        self.sent: dict[tuple[str, str], str] = {}  # unfinished slices by image and annotator
        self.kept: dict[str, list[str]] = {image_id: [] for image_id in IMAGES}
        self.newest: dict[str, dict[str, str]] = {}  # the newest drawing of each of the two readers, by image
        self.differ: set[str] = set()  # images whose two newest readings differ
        with ledger._writing() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())
        ledger.sync_images(IMAGES, 0)

    @initialize(begun=st.sampled_from([None, "agree", "differ", *TAKES]))
    def begin(self, begun):
        """Begin with nothing, or with a case that ann and bob have read, and about which eve may have decided."""
        if begun is not None:
            self.finish("ann", "a", True)
            self.read_again("bob", "a")
            self.finish_again("bob", begun == "agree")
            assert self.newest.keys() == {"a"}
        if begun in TAKES:
            self.adjudicate("eve", "a", begun)
            assert self.ledger.case_facts("a").state is CaseState.APPROVED

    def move(self, event, image_id, annotator, act):
        """Cause an event, and check that it ends in the machine's state or is refused as the machine says."""
        before = self.ledger.case_facts(image_id)
        problem = refusal(event, before, annotator)
        if problem is not None:
            with pytest.raises(NotReadyError, match=re.escape(problem)):
                act()
            assert self.ledger.case_facts(image_id) == before
            return
        act()
        assert self.ledger.case_facts(image_id).state in MOVES[event].targets

    @rule(annotator=annotators)
    def ask(self, annotator):
        """Ask as a strategy does: for the annotator's own query, their draft, other cases, then those passed over."""
        passed_over = self.ledger.passed_over(annotator)
        begun = [draft.image_id for draft in self.ledger.drafts_to_finish(annotator)]
        begun += [label.image_id for label, _ in self.ledger.returned_to(annotator) if label.image_id not in begun]
        pool = [*begun, *self.ledger.pool("training")]
        wanted = [*(one for one in pool if one not in passed_over), *(one for one in passed_over if one in pool)]
        held = self.ledger.active_lease(annotator)
        for image_id in wanted:
            lease = self.ledger.grant_lease(annotator, image_id, 30, "random")
            if lease is not None:
                break
        else:
            return
        assert held is None or lease == held
        if lease.strategy == SECOND_READING:
            return
        assert self.ledger.case_facts(lease.image_id).state is CaseState.LEASED
        self.ledger.show_draft(lease.image_id, annotator, "original")
        shown = self.ledger.current_annotation(lease.image_id, "original")
        mine = self.sent.get((lease.image_id, annotator))
        file = None if shown is None else shown.file
        returned = {label.image_id: label.file for label, _ in self.ledger.returned_to(annotator)}
        if mine is None and lease.image_id in returned:
            assert file == returned[lease.image_id]
        drafts = {draft.file for draft in self.ledger.draft_history(lease.image_id)}
        assert file == mine if mine is not None else file not in drafts

    @rule(annotator=annotators, image_id=images)
    def leave_a_draft(self, annotator, image_id):
        file = f"draft {next(self.names)}"
        self.move(
            CaseEvent.KEEP_DRAFT,
            image_id,
            annotator,
            lambda: record_draft(
                self.ledger, image_id, file, "0", annotator, reason=DraftReason.SAID, why="", shown_as="original"
            ),
        )
        self.sent[image_id, annotator] = file
        self.kept[image_id].append(file)

    @rule(annotator=annotators, image_id=images, agrees=st.booleans())
    def finish(self, annotator, image_id, agrees):
        """Finish a case, or send it again. A reader's drawing replaces no other's, nor what was decided between two."""
        facts, final = self.ledger.case_facts(image_id), self.ledger.current_annotation(image_id)
        approved = image_id in self.differ and facts.verdict is Verdict.APPROVED
        is_reader = annotator in self.newest.get(image_id, {})
        is_own = final is not None and final.annotator == annotator and not approved
        if is_reader and final is not None and facts.verdict is not Verdict.RETURNED and not is_own:
            self.send_reading(CaseEvent.FINISH_AGAIN, annotator, image_id, agrees)
            assert self.ledger.current_annotation(image_id) == final
        else:
            self.send_reading(CaseEvent.FINISH, annotator, image_id, agrees)

    def send_reading(self, event, annotator, image_id, agrees):
        """Keep a label of a whole volume as the server does: compared with the other reader's newest, if any."""
        tag, file = SECOND if event is CaseEvent.FINISH_AGAIN else "final", f"{event} {next(self.names)}"
        other = self.ledger.case_history(image_id).other_reading(annotator, tag)
        readers = self.newest.get(image_id, {})
        if annotator in readers:
            assert other is not None, "a version of a reading is compared with nothing"
            assert other.file == next(drawn for name, drawn in readers.items() if name != annotator)
        elif other is not None and readers:
            assert tag == SECOND  # a third person's final label is a correction, no reading
        compared = None if other is None else Compared(other.id, {"ball": Agreement(0.5, 1.0)}, agrees)
        details = {"tag": tag, "compared": compared, "beside": 0 if other is None else other.id}
        send = lambda: record_annotation(self.ledger, image_id, file, "0", annotator, **details)  # noqa: E731
        self.move(event, image_id, annotator, send)
        if other is not None:
            assert other.annotator != annotator
            self.newest[image_id] = {annotator: file, other.annotator: other.file}
            (self.differ.discard if agrees else self.differ.add)(image_id)
        self.sent.pop((image_id, annotator), None)
        self.kept[image_id].append(file)

    @rule(annotator=annotators, image_id=images)
    def finish_a_slice(self, annotator, image_id):
        """Finish a slice of a volume that is not finished yet; the server merges it with earlier drawings."""
        current = self.ledger.current_annotation(image_id)
        if current is not None and current.slices is None:
            return
        file = f"slice {next(self.names)}"
        self.move(
            CaseEvent.FINISH_PART,
            image_id,
            annotator,
            lambda: record_annotation(self.ledger, image_id, file, "0", annotator, slices=[1]),
        )
        self.kept[image_id].append(file)

    @rule(annotator=annotators, image_id=images, kind=st.sampled_from([NOT_NOW, CANNOT]))
    def skip(self, annotator, image_id, kind):
        event = CaseEvent.SKIP if kind == NOT_NOW else CaseEvent.SET_ASIDE
        before = self.ledger.case_facts(image_id)
        problem = refusal(event, before, annotator)
        try:
            skip = self.ledger.skip_case(annotator, kind, "", image_id)
        except NotReadyError as error:
            skip, refused = None, str(error)
        if skip is None:
            assert problem is not None
            assert problem in refused
            assert self.ledger.case_facts(image_id) == before
            return
        if skip in self.skips:  # Its answer was lost, and it is sent again.
            assert (skip.image_id, skip.annotator, skip.kind) == (image_id, annotator, kind)
            assert self.ledger.case_facts(image_id) == before
            return
        assert problem is None
        assert self.ledger.case_facts(image_id).state in MOVES[event].targets
        self.skips.append(skip)

    @rule(annotator=annotators, image_id=images)
    def bring_back(self, annotator, image_id):
        self.move(CaseEvent.BRING_BACK, image_id, annotator, lambda: self.ledger.bring_back(image_id, annotator))

    @rule(image_id=images)
    def take_back(self, image_id):
        try:
            self.ledger.delete_annotation(image_id)
        except NotFoundError:
            return
        self.newest.pop(image_id, None)
        self.differ.discard(image_id)
        assert self.ledger.case_facts(image_id).state in MOVES[CaseEvent.TAKE_BACK].targets

    @rule(image_id=images)
    def take_back_a_second_reading(self, image_id):
        before = self.ledger.case_facts(image_id)
        try:
            self.ledger.delete_annotation(image_id, SECOND)
        except NotFoundError:
            return
        self.newest.pop(image_id, None)
        self.differ.discard(image_id)
        assert self.ledger.case_facts(image_id).state is before.state

    @rule(annotator=annotators, image_id=images)
    def read_again(self, annotator, image_id):
        """Ask for a second reading: only of a case that another annotator has finished, and that nobody has decided."""
        held, facts = self.ledger.active_lease(annotator), self.ledger.case_facts(image_id)
        waits = image_id in self.ledger.waiting_for_second(annotator, IMAGES)
        lease = self.ledger.grant_lease(annotator, image_id, 30, SECOND_READING)
        if held is not None:
            assert lease == held
        elif waits and not facts.held_by:
            assert refusal(CaseEvent.READ_AGAIN, facts, annotator) is None
            assert self.ledger.case_facts(image_id).state in MOVES[CaseEvent.READ_AGAIN].targets
            self.ledger.hide_drawing(image_id, "original")
            assert not self.ledger.shows_drawing(image_id, "original")
        else:
            assert lease is None

    @rule(annotator=annotators, agrees=st.booleans())
    def finish_again(self, annotator, agrees):
        held = self.ledger.active_lease(annotator)
        final = None if held is None else self.ledger.current_annotation(held.image_id)
        if held is None or held.strategy != SECOND_READING or final is None or final.slices is not None:
            return
        image_id, before = held.image_id, final
        facts = self.ledger.case_facts(image_id)
        if facts.verdict is Verdict.RETURNED or final.annotator == annotator:
            return  # it was returned, or is their own, meanwhile: what comes back is a label as any other
        self.send_reading(CaseEvent.FINISH_AGAIN, annotator, image_id, agrees)
        assert self.ledger.current_annotation(image_id) == before

    @rule(reviewer=annotators, image_id=images, take=st.sampled_from(TAKES))
    def adjudicate(self, reviewer, image_id, take):
        """Take one of two readings that differ, or one merged of both: who has drawn one of them may not."""
        reading = self.ledger.disagreements().get(image_id)
        if reading is None or not self.ledger.between_shown(reading):
            return
        first, second = (self.ledger.current_annotation(image_id, tag) for tag in ("final", SECOND))
        assert {one.annotator: one.file for one in (first, second)} == self.newest[image_id]
        if refusal(CaseEvent.APPROVE, self.ledger.case_facts(image_id), reviewer) is not None:
            return
        assert reviewer not in self.newest[image_id]
        if take != "first":
            file = second.file if take == "second" else f"merged {next(self.names)}"
            who = second.annotator if take == "second" else reviewer
            self.ledger.end_review(reviewer)
            record_annotation(self.ledger, image_id, file, "0", who)
            self.sent.pop((image_id, who), None)
            self.kept[image_id].append(file)
        self.ledger.decide(image_id, reviewer, Verdict.APPROVED, "why", shown_as="original")
        assert image_id not in self.ledger.disagreements()

    @rule(reviewer=annotators, image_id=st.none() | images)
    def take_for_review(self, reviewer, image_id):
        """Take the next label that waits, or one by name; nobody gets a label that somebody else has before them."""
        if image_id is None:
            taken = self.ledger.take_for_review(reviewer, 30)
            if taken is not None:
                assert self.ledger.case_facts(taken.image_id).reviewed_by == reviewer
            return
        if self.ledger.case_facts(image_id).reviewed_by == reviewer:
            assert self.ledger.take_for_review(reviewer, 30, image_id) == self.ledger.open_review(reviewer)
            return
        take = lambda: self.ledger.take_for_review(reviewer, 30, image_id)  # noqa: E731
        self.move(CaseEvent.TAKE_FOR_REVIEW, image_id, reviewer, take)

    @rule(reviewer=annotators, image_id=images, verdict=st.sampled_from(Verdict))
    def decide(self, reviewer, image_id, verdict):
        event = CaseEvent.APPROVE if verdict is Verdict.APPROVED else CaseEvent.RETURN
        held = self.ledger.open_review(reviewer)
        label = self.ledger.current_annotation(image_id)
        if held is not None and held.image_id == image_id and label is not None and held.annotation_id != label.id:
            self.ledger.end_review(reviewer)  # they look at it again, as a refusal tells them
        decide = lambda: self.ledger.decide(image_id, reviewer, verdict, "why", shown_as="original")  # noqa: E731
        self.move(event, image_id, reviewer, decide)

    @rule(reviewer=annotators)
    def end_review(self, reviewer):
        held = self.ledger.end_review(reviewer)
        if held is not None:
            assert self.ledger.case_facts(held.image_id).state in MOVES[CaseEvent.END_REVIEW].targets

    @rule(minutes=st.sampled_from([1, 25]))
    def wait(self, minutes):
        self.clock.advance(minutes)

    @invariant()
    def no_drawing_is_lost(self):
        for image_id in IMAGES:
            drafts = [draft.file for draft in self.ledger.draft_history(image_id)]
            labels = [label.file for label in self.ledger.history(image_id) if label.tag in ("final", SECOND)]
            assert set(drafts + labels) == set(self.kept[image_id])  # one drawing may be kept under two tags
        assert {(draft.image_id, draft.annotator): draft.file for draft in self.ledger.open_drafts()} == self.sent

    @invariant()
    def every_case_that_is_to_be_drawn_can_be_had(self):
        """Check that each case goes to its holder or else to anybody, and that one set aside can be brought back."""
        pool = self.ledger.pool("training")
        for image_id in IMAGES:
            facts = self.ledger.case_facts(image_id)
            match facts.state:
                case CaseState.FINISHED | CaseState.IN_REVIEW | CaseState.APPROVED:
                    assert image_id not in pool
                case CaseState.CANNOT:
                    assert image_id not in pool
                    assert refusal(CaseEvent.BRING_BACK, facts, "somebody new") is None
                case CaseState.LEASED:
                    (holder,) = facts.held_by
                    assert self.ledger.active_lease(holder).image_id == image_id
                case _:
                    assert image_id in pool
                    assert refusal(CaseEvent.ASK, facts, "somebody new") is None

    @invariant()
    def every_label_without_a_decision_can_be_reviewed(self):
        """Check that each goes to who has it before them, or else to somebody who has not drawn it."""
        for image_id in IMAGES:
            facts = self.ledger.case_facts(image_id)
            if facts.has_label and facts.verdict is None:
                who = facts.reviewed_by or "somebody new"
                assert refusal(CaseEvent.APPROVE, facts, who) is None

    @invariant()
    def the_newest_versions_of_both_readers_are_what_is_compared(self):
        """Check that each image has one current comparison, and that the readers may not decide between their own."""
        current = {reading.image_id: reading for reading in self.ledger.readings()}
        assert len(current) == len(self.ledger.readings())
        assert current.keys() == self.newest.keys()
        for image_id, reading in current.items():
            kept = {label.id: label for label in self.ledger.history(image_id)}
            compared = [kept[one] for one in (reading.first_id, reading.second_id)]
            assert {label.annotator: label.file for label in compared} == self.newest[image_id]
            assert reading.agrees == (image_id not in self.differ)
            facts = self.ledger.case_facts(image_id)
            if facts.verdict is None and image_id in self.differ:
                assert all(refusal(CaseEvent.APPROVE, facts, name) is not None for name in self.newest[image_id])

    @invariant()
    def what_is_returned_is_not_learnt_from(self):
        touched = self.ledger.touched_case_facts()
        facts = {image_id: touched.get(image_id, UNTOUCHED) for image_id in IMAGES}
        assert facts == {image_id: self.ledger.case_facts(image_id) for image_id in IMAGES}
        learnt = {label.image_id: label for label in self.ledger.labels_to_learn()}
        undecided = {one for one in self.differ if facts[one].verdict is None}
        assert self.ledger.disagreements().keys() == undecided
        assert learnt.keys() == {
            one
            for one in IMAGES
            if facts[one].has_label and facts[one].verdict is not Verdict.RETURNED and one not in undecided
        }
        self.ledger.only_approved = True
        approved = {label.image_id: label for label in self.ledger.labels_to_learn()}
        self.ledger.only_approved = False
        standing = {
            review.annotation_id
            for review in self.ledger.reviews()
            if review.outcome == "approved" and review.superseded_at is None
        }
        assert {label.id for label in approved.values()} <= standing
        assert {one for one in IMAGES if facts[one].verdict is Verdict.APPROVED} <= approved.keys()
        assert {one for one in approved if not facts[one].has_label} == set()


def test_no_order_of_events_loses_a_drawing_or_leaves_a_case_that_nobody_can_get(ledger, clock):
    run_state_machine_as_test(
        lambda: Cases(ledger, clock),
        settings=settings(
            max_examples=3
            if ledger.shown_url.startswith("postgresql")
            else 10,  # PostgreSQL has the same rules, and is twice as slow
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
