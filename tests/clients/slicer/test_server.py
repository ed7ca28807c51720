"""The server's routes, as the module uses them, with answers that are made up."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ActiveLabelLib.answers import User, read_project, read_query, read_review, read_saved, read_worklist
from ActiveLabelLib.errors import ClientError
from ActiveLabelLib.progress import read_progress
from ActiveLabelLib.server import MOST_ROWS, Server


class Answers:
    """A connection that answers with pages of a worklist of `cases` cases, and knows who has logged in."""

    def __init__(self, cases: int = 0, roles: list[str] | None = None) -> None:
        self.name = "ann"
        self.asked: list[Any] = []
        self._cases = [f"case_{number:05d}" for number in range(cases)]
        self._roles = roles

    def log_in(self) -> bool:
        return self._roles is not None

    def get(self, path: str, params: Mapping[str, Any] | None = None, seconds: float = 0.0) -> Any:
        self.asked.append((path, params))
        if path == "/auth/token/valid":
            return {"username": "ann@clinic", "roles": self._roles}
        after = (params or {}).get("after")
        left = [case for case in self._cases if after is None or case > after]
        state = {"role": "training", "state": "unseen", "who": [], "note": ""}
        shown = [{"image": case, **state} for case in left[:400]]
        return {"cases": shown, "next": shown[-1]["image"] if len(left) > 400 else None}


def test_the_worklist_is_read_page_by_page() -> None:
    answers: Any = Answers(cases=750)
    rows = Server(answers).worklist()
    assert [row.image for row in rows] == [f"case_{number:05d}" for number in range(750)]
    assert [params["after"] for _, params in answers.asked] == [None, "case_00399"]


def test_of_a_very_long_worklist_the_first_pages_are_shown_and_the_last_row_says_so() -> None:
    answers: Any = Answers(cases=5000)
    rows = Server(answers).worklist()
    assert len(rows) == 1201 > MOST_ROWS
    assert rows[-1].note == "only the first 1200 cases are shown"


@pytest.mark.parametrize(
    ("roles", "user"),
    [
        (None, User("ann", True)),
        (["annotator"], User("ann@clinic", False)),
        (["reviewer"], User("ann@clinic", True)),
        (["admin"], User("ann@clinic", True)),
    ],
)
def test_who_may_review(roles: list[str] | None, user: User) -> None:
    answers: Any = Answers(roles=roles)
    assert Server(answers).log_in() == user


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (read_query, {"query": {"image": "a", "role": "training", "slices": [{"position_mm": 1, "index": "x"}]}}),
        (read_query, {"query": []}),
        (read_query, []),
        (read_review, {"review": {"image": "a", "version": None, "annotator": "b", "slices": None}}),
        (read_worklist, {"cases": 7}),
        (read_saved, ["finished"]),
        (read_project, {"strategies": {}, "models": [], "labels": None}),
        (read_progress, {"unit": "volumes"}),
    ],
)
def test_an_answer_of_another_kind_is_one_line(read: Callable[[Any], Any], answer: Any) -> None:
    with pytest.raises(ClientError, match="write the module anew"):
        read(answer)
