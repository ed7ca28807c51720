"""Which slices a label covers, without files and without a ledger: each case by hand, and any order of events."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from activelabel.annotation.coverage import SentLabel, covered
from activelabel.annotation.history import History, Version
from activelabel.data.grids import Grid
from activelabel.data.slice_digests import SliceDigests, slice_digests
from activelabel.errors import InvalidInputError
from activelabel.store.coverage_case import CoverageCase
from activelabel.store.records.queries import Lease, Outcome

SLICES = 6
AXIS = 2
GRID = Grid((2, 2, SLICES), np.diag([1.0, 1.0, 3.0, 1.0]))
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def voxels(values: Sequence[int]) -> NDArray[np.uint16]:
    """A label whose slices are filled with one value each."""
    return np.zeros(GRID.shape, np.uint16) + np.array(values, np.uint16)


def digests(*values: int) -> SliceDigests:
    return slice_digests(voxels(values), AXIS)


def sent(annotator: str, *values: int, **said: Any) -> SentLabel:
    return SentLabel("a", annotator, voxels(values), GRID, AXIS, **said)


def query(annotator: str, slices: Sequence[int] | None, minute: int = 0, outcome: Outcome | None = None) -> Lease:
    granted = START + timedelta(minutes=minute)
    ended = None if outcome is None else granted
    chosen = None if slices is None else tuple(slices)
    expires = granted + timedelta(hours=1)
    return Lease(1, "a", chosen, annotator, "random_slices", None, None, "", 1, granted, expires, ended, outcome)


def version(number: int, annotator: str, *values: int, minute: int = 1) -> Version:
    return Version(number, annotator, digests(*values), START + timedelta(minutes=minute))


NOTHING = History(asks_slices=True)

# By hand


@pytest.mark.parametrize(
    ("label", "asked", "history", "case", "slices"),
    [
        (sent("ann", 1, 0, 0, 0, 0, 0, named_slices=[2, 0]), query("ann", [4]), NOTHING, CoverageCase.NAMED, {0, 2}),
        (sent("ann", 1, 0, 0, 0, 0, 0, named_slices="all"), query("ann", [4]), NOTHING, CoverageCase.NAMED, None),
        (sent("ann", 0, 0, 1, 0, 2, 0), query("ann", [4, 5]), NOTHING, CoverageCase.ANSWER, {2, 4, 5}),
        (
            sent("ann", 0, 0, 0, 0, 1, 3),
            query("ann", [4, 5]),
            History(True, frozenset({4, 5}), True, (version(1, "ann", 0, 0, 0, 0, 1, 2),)),
            CoverageCase.CORRECTED_ANSWER,
            {5},
        ),
        (sent("ann", 0, 0, 0, 1, 0, 0), query("ann", [4]), NOTHING, CoverageCase.DRAWN_BESIDE, {3, 4}),
        (sent("ann", 0, 0, 0, 1, 0, 0), query("ann", None), NOTHING, CoverageCase.VOLUME_ANSWER, None),
        (
            sent("ann", 0, 0, 0, 1, 2, 0),
            query("ann", None, outcome="expired"),
            History(True, frozenset({3}), True, (version(1, "bob", 0, 0, 0, 1, 0, 0),)),
            CoverageCase.LATE_VOLUME_ANSWER,
            {4},
        ),
        (sent("ann", 0, 0, 0, 1, 0, 0), None, NOTHING, CoverageCase.NOT_ASKED, {3}),
        (sent("ann", 0, 0, 0, 1, 0, 0), None, History(False), CoverageCase.NOT_ASKED_VOLUME, None),
        (
            sent("ann", 0, 0, 0, 1, 0, 0),
            None,
            History(True, frozenset(range(SLICES))),
            CoverageCase.NOT_ASKED_VOLUME,
            None,
        ),
    ],
    ids=lambda value: value.name if isinstance(value, CoverageCase) else "",
)
def test_each_case_covers_the_slices_that_its_rule_says(
    label: SentLabel, asked: Lease | None, history: History, case: CoverageCase, slices: set[int] | None
) -> None:
    found = covered(label, asked, history)
    assert (found.case, found.slices) == (case, slices)


def test_the_test_of_the_cases_has_every_case() -> None:
    (mark,) = (mark for mark in test_each_case_covers_the_slices_that_its_rule_says.pytestmark if mark.args)
    assert {values[3] for values in mark.args[1]} == set(CoverageCase)


def test_a_label_that_was_not_asked_for_and_on_which_nothing_is_new_is_refused() -> None:
    history = replace(NOTHING, shown={1: digests(0, 0, 7, 0, 0, 0)})
    with pytest.raises(InvalidInputError, match="no slice of it was asked of ann, and nothing new is drawn"):
        covered(sent("ann", 0, 0, 7, 0, 0, 0), None, history)


def test_a_version_that_cannot_be_read_matters_only_where_it_is_compared() -> None:
    gone = replace(version(1, "bob", 0, 0, 0, 0, 0, 0), content=InvalidInputError("its file is gone"))
    history = History(True, frozenset({0}), True, (gone,))
    label = sent("ann", 0, 0, 0, 1, 0, 0)
    assert covered(replace(label, named_slices=[3]), None, history).slices == {3}
    with pytest.raises(InvalidInputError, match="its file is gone"):
        covered(label, None, history)


def test_a_version_from_before_the_query_that_cannot_be_read_refuses_no_answer() -> None:
    """Bob has drawn slice 0, and Ann answers with slice 1: her client sends his slice back with it."""
    label = version(1, "bob", 1, 0, 0, 0, 0, 0, minute=2)
    mask = replace(version(1, "model", 0, 0, 0, 0, 0, 0), superseded_at=label.created_at)
    gone = replace(mask, content=InvalidInputError("its file is gone"))
    history = History(True, frozenset({0}), True, (label,), (gone, replace(label, number=2)))
    found = covered(sent("ann", 1, 2, 0, 0, 0, 0), query("ann", [1], minute=3), history)
    assert (found.case, found.slices) == (CoverageCase.ANSWER, {1})


def test_what_somebody_elses_draft_repeats_of_ones_own_draft_is_still_ones_own() -> None:
    """Bob draws slice 0 in a draft, Ann's client loads it and keeps it as her draft, and Bob sends his drawing."""
    drafts = tuple(replace(version(n, who, 1, 0, 0, 0, 0, 0), is_draft=True) for n, who in ((1, "bob"), (2, "ann")))
    history = replace(NOTHING, originals=drafts)
    assert covered(sent("bob", 1, 2, 0, 0, 0, 0), None, history).slices == {0, 1}
    assert covered(sent("cy", 1, 2, 0, 0, 0, 0), None, history).slices == {1}
    gone = replace(drafts[0], content=InvalidInputError("its file is gone"))
    with pytest.raises(InvalidInputError, match="its file is gone"):  # else Ann's copy would pass for what he loaded
        covered(sent("bob", 1, 2, 0, 0, 0, 0), None, replace(history, originals=(gone, drafts[1])))


def test_what_somebody_else_has_answered_with_of_ones_own_draft_is_still_ones_own() -> None:
    """Ann draws slice 0 in a draft, Bob's client loads it, Bob answers with it, and Ann finishes it."""
    draft = replace(version(1, "ann", 1, 0, 0, 0, 0, 0), is_draft=True)
    label = version(1, "bob", 1, 0, 0, 0, 0, 0, minute=2)
    history = History(True, frozenset({0}), True, (label,), (draft, replace(label, number=2)))
    found = covered(sent("ann", 1, 0, 0, 0, 0, 0), None, history)
    assert (found.case, found.slices) == (CoverageCase.NOT_ASKED, {0})
    with pytest.raises(InvalidInputError, match="nothing new is drawn"):
        covered(sent("cy", 1, 0, 0, 0, 0, 0), None, history)


def test_a_draft_repeats_ones_own_label_and_is_nothing_new_in_somebody_elses_draft() -> None:
    """Cy sends slice 0, keeps it in a draft, Ann draws it anew, and Cy's client loads it from a draft of Bob's."""
    last = version(2, "ann", 2, 0, 0, 0, 0, 0, minute=3)
    first = replace(version(1, "cy", 1, 0, 0, 0, 0, 0), superseded_at=last.created_at)
    drafts = tuple(
        replace(version(number, who, 1, 0, 0, 0, 0, 0, minute=minute), is_draft=True)
        for number, who, minute in ((2, "cy", 2), (4, "bob", 5))
    )
    originals = (first, drafts[0], replace(last, number=3), drafts[1])
    history = History(True, frozenset({0}), True, (first, last), originals)
    assert covered(sent("cy", 1, 0, 0, 0, 0, 0), query("cy", [1], minute=4), history).slices == {1}


def test_ones_own_draft_from_before_ones_label_comes_back_in_somebody_elses_draft_as_theirs() -> None:
    """Bob draws slice 0 in a draft, Ann keeps it as hers, Bob sends another drawing, and loads Ann's draft."""
    drafts = tuple(replace(version(n, who, 1, 0, 0, 0, 0, 0), is_draft=True) for n, who in ((1, "bob"), (2, "ann")))
    label = version(3, "bob", 2, 0, 0, 0, 0, 0, minute=2)
    loaded = replace(version(4, "ann", 1, 0, 0, 0, 0, 0, minute=3), is_draft=True)
    history = History(True, frozenset({0}), True, (label,), (*drafts, label, loaded))
    assert covered(sent("bob", 1, 3, 0, 0, 0, 0), None, history).slices == {1}


def test_an_answer_that_is_corrected_twice_takes_back_nothing_that_somebody_else_drew_meanwhile() -> None:
    """Ann answers, Bob draws slice 0 anew, and Ann empties slice 1, then slice 2, on the screen of her answer."""
    finals = (
        version(1, "ann", 1, 2, 3, 0, 0, 0, minute=1),
        version(2, "bob", 4, 2, 3, 0, 0, 0, minute=2),
        version(3, "ann", 4, 0, 3, 0, 0, 0, minute=3),
    )
    history = History(True, frozenset({0, 1, 2}), True, finals)
    found = covered(sent("ann", 1, 0, 0, 0, 0, 0), query("ann", [0]), history)
    assert (found.case, found.slices) == (CoverageCase.CORRECTED_ANSWER, {2})


def with_sent(label: Version, *values: int) -> Version:
    """A version whose annotator sent slices of these values, before they were merged."""
    pairs = enumerate(zip(digests(*values), label.drawing, strict=True))
    return replace(label, sent_otherwise={index: digest for index, (digest, kept) in pairs if digest != kept})


BOBS = version(1, "bob", 5, 0, 0, 0, 0, 0, minute=1)
ANNS = version(2, "ann", 5, 2, 0, 0, 0, 0, minute=3)
"""Bob has drawn slice 0. Ann, who was asked for it and slice 1, has answered, with what he drew or without it."""


def corrected(*values: int, finals: Sequence[Version], outcome: Outcome | None = None) -> set[int]:
    """What Ann's answer of these values covers after she has answered before."""
    history = History(True, frozenset({0, 1}), True, tuple(finals))
    asked = query("ann", [0, 1], minute=2, outcome=outcome)
    found = covered(sent("ann", *values), asked, history)
    assert found.case is CoverageCase.CORRECTED_ANSWER
    return set(found.slices or ())


def test_who_has_answered_with_what_somebody_else_drew_empties_it_later() -> None:
    assert corrected(0, 2, 0, 0, 0, 0, finals=[BOBS, with_sent(ANNS, 5, 2, 0, 0, 0, 0)]) == {0}


def test_who_has_answered_without_what_somebody_else_drew_does_not_empty_it() -> None:
    assert corrected(0, 3, 0, 0, 0, 0, finals=[BOBS, with_sent(ANNS, 0, 2, 0, 0, 0, 0)]) == {1}


def test_what_somebody_else_drew_anew_since_is_not_emptied_on_the_screen_of_the_answer() -> None:
    anew = version(3, "bob", 6, 2, 0, 0, 0, 0, minute=4)
    assert corrected(0, 3, 0, 0, 0, 0, finals=[BOBS, with_sent(ANNS, 5, 2, 0, 0, 0, 0), anew]) == {1}


def test_what_a_label_of_an_earlier_version_was_sent_with_is_unknown_and_nothing_of_others_is_emptied() -> None:
    assert corrected(0, 3, 0, 0, 0, 0, finals=[BOBS, ANNS]) == {1}


def test_an_emptied_slice_of_somebody_else_comes_back_when_its_annotator_undoes_that() -> None:
    emptied = with_sent(version(3, "ann", 0, 2, 0, 0, 0, 0, minute=4), 0, 2, 0, 0, 0, 0)
    assert corrected(5, 2, 0, 0, 0, 0, finals=[BOBS, with_sent(ANNS, 5, 2, 0, 0, 0, 0), emptied]) == {0}


def test_a_late_answer_that_is_sent_twice_does_not_replace_what_is_newer_than_its_screen() -> None:
    """Ann's client shows Bob's first drawing (5) of slice 0, who has drawn it anew (6) before she answers."""
    anew = replace(version(2, "bob", 6, 0, 0, 0, 0, 0, minute=3), superseded_at=START + timedelta(minutes=4))
    first = replace(BOBS, superseded_at=anew.created_at)
    anns = with_sent(version(3, "ann", 6, 2, 0, 0, 0, 0, minute=4), 5, 2, 0, 0, 0, 0)
    assert corrected(5, 3, 0, 0, 0, 0, finals=[first, anew, anns], outcome="expired") == {1}


# Any order of events

ANNOTATORS = ("ann", "bob", "cy")
annotators = st.sampled_from(ANNOTATORS)
some_slices = st.sets(st.integers(0, SLICES - 1), max_size=3).map(sorted)


@dataclass
class Client:
    """A client of one annotator: what it shows, and what the annotator was asked for."""

    screen: list[int] = field(default_factory=lambda: [0] * SLICES)
    query: Lease | None = None
    own: set[int] = field(default_factory=set)
    """The slices of the query, and those drawn since, that the annotator has sent."""
    drafted: dict[int, int] = field(default_factory=dict)
    """What the client shows that the annotator has drawn and sent only in drafts."""
    kept_as_draft: set[int] = field(default_factory=set)
    """All that the annotator has drawn in drafts since they last sent a label."""

    def draw(self, drawn: dict[int, int]) -> None:
        self.screen = [drawn.get(index, value) for index, value in enumerate(self.screen)]

    def load(self, drawing: list[int]) -> None:
        """Show another drawing, as long as the query has no answer: an answer stays on the screen."""
        if not self.own:
            self.screen = list(drawing)
            self.drafted = {index: value for index, value in enumerate(drawing) if value in self.kept_as_draft}


class Study(RuleBasedStateMachine):
    """Three annotators of one image, whose clients load what there is or do not, and keep it on the screen for ever.

    `expected` holds the value of each annotated slice: what was drawn on it last, or what an answer showed where it was
    asked for, be it empty. Each drawing has a value of its own. `label` is what merging the covered slices makes of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clients = {annotator: Client() for annotator in ANNOTATORS}
        self.finals: list[Version] = []
        self.originals: list[Version] = []
        self.shown: dict[int, SliceDigests] = {}
        self.label: dict[int, int] = {}
        self.expected: dict[int, int] = {}
        self.minute = 0
        self.values = 0

    def now(self) -> datetime:
        self.minute += 1
        return START + timedelta(minutes=self.minute)

    def new_value(self) -> int:
        self.values += 1
        return self.values

    @property
    def history(self) -> History:
        slices = frozenset(self.label) if self.label else None
        finals, originals = tuple(self.finals), tuple(self.originals)
        return History(True, slices, slices is not None, finals, originals, dict(self.shown))

    @precondition(lambda self: len(self.label) < SLICES)
    @rule(annotator=annotators, slices=some_slices, loads=st.booleans())
    def ask(self, annotator: str, slices: list[int], loads: bool) -> None:
        open_slices = [index for index in slices if index not in self.label]
        if not open_slices:
            return
        client = self.clients[annotator] = Client(kept_as_draft=self.clients[annotator].kept_as_draft)
        client.query = replace(query(annotator, open_slices), granted_at=self.now())
        if loads:
            client.screen = [self.label.get(index, 0) for index in range(SLICES)]

    @rule(annotator=annotators)
    def skip(self, annotator: str) -> None:
        client = self.clients[annotator]
        client.query, client.own = None, set()

    @rule(annotator=annotators, slices=some_slices)
    def show_a_mask(self, annotator: str, slices: list[int]) -> None:
        """A model draws, and the annotator's client shows the mask in place of what it showed."""
        screen = [self.new_value() if index in slices else 0 for index in range(SLICES)]
        self.shown[len(self.shown) + 1] = digests(*screen)
        self.clients[annotator].load(screen)

    @rule(annotator=annotators, reader=annotators, slices=some_slices)
    def keep_a_draft(self, annotator: str, reader: str, slices: list[int]) -> None:
        """A drawing that is not finished is kept, and another annotator's client loads it."""
        client = self.clients[annotator]
        drawn = {index: self.new_value() for index in slices}
        client.draw(drawn)
        client.drafted |= drawn
        client.kept_as_draft |= set(drawn.values())
        number = len(self.originals) + 1
        self._replace(self.originals, Version(number, annotator, digests(*client.screen), self.now(), is_draft=True))
        if reader != annotator:
            self.clients[reader].load(client.screen)

    @precondition(lambda self: len(self.label) < SLICES)
    @rule(annotator=annotators, beside=some_slices, empty=st.booleans())
    def save(self, annotator: str, beside: list[int], empty: bool) -> None:
        client = self.clients[annotator]
        asked = () if client.query is None else client.query.slices or ()
        drawn = [*beside, *(() if empty else asked[:1])]
        fresh = {index: self.new_value() for index in drawn}
        client.draw(fresh)
        self._send(annotator, {**client.drafted, **fresh}, asked)

    @precondition(lambda self: 0 < len(self.label) < SLICES)
    @rule(annotator=annotators, choice=st.integers(0, SLICES - 1))
    def erase_what_one_has_sent(self, annotator: str, choice: int) -> None:
        """An annotator empties a slice that they have sent and that counts as they sent it, whoever has drawn it."""
        client = self.clients[annotator]
        own = sorted(client.own)
        shown = [index for index in own if client.screen[index] and client.screen[index] == self.expected[index]]
        if client.query is None or not shown:
            return
        index = shown[choice % len(shown)]
        client.screen[index] = self.expected[index] = 0
        self._send(annotator, client.drafted, client.query.slices or ())

    @precondition(lambda self: self.label)
    @rule()
    def delete(self) -> None:
        self.finals[-1] = replace(self.finals[-1], deleted_at=self.now())
        if self.originals:
            self.originals[-1] = replace(self.originals[-1], deleted_at=self.now())
        self.label, self.expected = {}, {}
        for client in self.clients.values():
            client.screen, client.own = [0] * SLICES, set()
            client.drafted, client.kept_as_draft = {}, set()

    @invariant()
    def no_drawn_slice_is_lost_and_no_undrawn_slice_is_background(self) -> None:
        assert self.label == self.expected

    def _send(self, annotator: str, fresh: dict[int, int], asked: Sequence[int]) -> None:
        client = self.clients[annotator]
        label = sent(annotator, *client.screen)
        if not fresh and client.query is None:
            with pytest.raises(InvalidInputError, match="nothing new is drawn"):
                covered(label, None, self.history)
            return
        found = covered(label, client.query, self.history)
        assert found.slices is not None
        self.label = {**self.label, **{index: client.screen[index] for index in found.slices}}
        answered = {} if client.own else {index: client.screen[index] for index in asked}
        kept_as_shown = {index: value for index, value in answered.items() if value}
        self.expected = {**answered, **self.expected, **kept_as_shown, **fresh}
        client.drafted, client.kept_as_draft = {}, set()
        if client.query is not None:
            client.own |= {*asked, *fresh}
        merged = digests(*(self.label.get(index, 0) for index in range(SLICES)))
        for versions in (self.finals, self.originals):
            label = with_sent(Version(len(versions) + 1, annotator, merged, self.now()), *client.screen)
            self._replace(versions, label)

    def _replace(self, versions: list[Version], new: Version) -> None:
        if versions and versions[-1].deleted_at is None:
            versions[-1] = replace(versions[-1], superseded_at=new.created_at)
        versions.append(new)


TestStudy = Study.TestCase
TestStudy.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)


def test_a_slice_that_somebody_drew_after_it_was_erased_is_not_erased_by_two_corrections() -> None:
    study = Study()
    study.ask(annotator="ann", slices=[1, 2], loads=False)
    study.save(annotator="ann", beside=[2], empty=False)
    study.erase_what_one_has_sent(annotator="ann", choice=0)
    study.ask(annotator="bob", slices=[3], loads=False)
    study.save(annotator="bob", beside=[1], empty=False)
    drawn_by_bob = study.label[1]
    for _ in range(2):
        study.save(annotator="ann", beside=[2], empty=True)
        assert study.label == study.expected
    assert study.label[1] == drawn_by_bob != 0
