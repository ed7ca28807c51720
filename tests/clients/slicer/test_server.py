"""The server's routes, as the module uses them, with answers that are made up."""

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

import pytest

from activelabel.server.actions.case_answers import ReadingsOfCase, ReviewAnswer, ReviewTaken
from ActiveLabelLib.errors import ClientError
from ActiveLabelLib.server.answers import Readings, Review, User
from ActiveLabelLib.server.progress import read_progress
from ActiveLabelLib.server.reading import read_project, read_query, read_review, read_saved, read_worklist
from ActiveLabelLib.server.server import MOST_ROWS, Server


class Answers:
    """A connection that answers with pages of a worklist of `cases` cases, and knows who has logged in."""

    def __init__(self, cases: int = 0, roles: list[str] | None = None) -> None:
        self.name = "ann"
        self.reader = ""
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
    rows = Server(answers).worklist().rows
    assert [row.image for row in rows] == [f"case_{number:05d}" for number in range(750)]
    assert [params["after"] for _, params in answers.asked] == [None, "case_00399"]


def test_of_a_very_long_worklist_the_first_pages_are_shown_and_the_last_row_says_so() -> None:
    answers: Any = Answers(cases=5000)
    rows = Server(answers).worklist().rows
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
    assert answers.reader == ("" if roles is None else "ann@clinic")


def test_a_label_to_review_is_read_with_its_two_readings() -> None:
    readings = ReadingsOfCase(first="bob", second="cid", agreement="liver Dice 0.61")
    when = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
    where: dict[str, Any] = {"slices": None, "plane": None, "covered": []}
    taken = ReviewTaken(image="a", version=2, annotator="bob", expires=when, readings=readings, **where)
    answer = ReviewAnswer(review=taken).model_dump(mode="json")
    assert read_review(answer) == Review("a", 2, "bob", None, Readings("bob", "cid", "liver Dice 0.61"))
    del answer["review"]["readings"]  # a server of an older version
    assert read_review(answer) == Review("a", 2, "bob")


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
