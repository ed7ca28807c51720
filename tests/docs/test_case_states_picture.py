"""The picture of the states of a case shows the machine that there is."""

import pytest

from activelabel.store.case_states import CaseEvent, CaseState
from make_case_states_picture import ARROWS, PICTURE, PLACES, picture


def test_the_committed_picture_is_what_the_machine_is_now() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(), "run python docs/scripts/make_case_states_picture.py"


def test_every_state_and_event_is_in_the_picture() -> None:
    drawn = picture()
    assert set(PLACES) == set(CaseState)
    assert all(f">{word}<" in drawn for word in [*CaseState, *CaseEvent])


def test_an_arrow_that_is_no_move_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = (*ARROWS, (CaseState.UNSEEN, CaseEvent.APPROVE, CaseState.APPROVED))
    monkeypatch.setattr("make_case_states_picture.ARROWS", wrong)
    with pytest.raises(ValueError, match="unseen → approve → approved: the machine has no such move"):
        picture()
