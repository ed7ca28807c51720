"""A look at the case that an annotator would be given next: it is that of their next question, and changes nothing."""

import functools
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranked_study import IMAGES, open_ranked, publish, write_images
from recorded import record_annotation, record_draft
from small_studies import Studies
from sqlalchemy import func, select

from activelabel.project.project import Project
from activelabel.recipes.strategy_traits import Needs, traits_of
from activelabel.server.tasks.strategy import host_strategies
from activelabel.store.case_states import DraftReason
from activelabel.store.cases.skips import CANNOT, NOT_NOW
from activelabel.store.schema.base import Base
from activelabel.strategies.asking import ProjectStrategy
from activelabel.strategies.catalogue import build_strategies


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    return write_images(tmp_path / "studies")


@pytest.fixture
def open_study(studies: Studies, tmp_path: Path) -> Callable[..., Project]:
    return functools.partial(open_ranked, studies, tmp_path)


@pytest.fixture
def project(open_study: Callable[..., Project]) -> Project:
    return open_study()


def all_that_may_change(project: Project) -> tuple[Any, ...]:
    """Return every row of the ledger, of the scores their number, and the states of the global random generators."""
    with project.ledger._reading() as session:
        tables = {table.name: table for table in Base.metadata.sorted_tables}
        scores = session.scalar(select(func.count()).select_from(tables.pop("scores")))
        rows = {name: session.execute(select(table)).all() for name, table in tables.items()}
    assert len(rows["images"]) == len(IMAGES)
    return rows, scores, random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()


def looked(project: Project, strategy: ProjectStrategy, annotator: str = "ann") -> tuple[str, Any] | None:
    """Look, see that nothing has changed, and return the image and its slices."""
    before = all_that_may_change(project)
    found = strategy.look(annotator)
    assert all_that_may_change(project) == before
    return None if found is None else (found.image_id, found.slices)


def given(strategy: ProjectStrategy, studies: Studies, annotator: str = "ann") -> tuple[str, Any] | None:
    """Ask, and return the image and its slices."""
    sample = strategy.next(annotator, studies)
    slices = sample and sample["query"].get("slices")
    return (sample["id"], None if slices is None else tuple(slices)) if sample else None


@pytest.fixture
def from_the_same_ledger(project: Project, tmp_path: Path) -> Callable[[], None]:
    """Put the ledger back to what it was at the first call."""
    copy = tmp_path / "copy.sqlite"

    def put_back() -> None:
        assert project.ledger.file is not None
        source, target = (copy, project.ledger.file) if copy.exists() else (project.ledger.file, copy)
        with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
            read.backup(written)

    return put_back


@pytest.mark.parametrize("has_model", [False, True])
def test_each_strategy_gives_what_a_look_has_found(
    project: Project, studies: Studies, from_the_same_ledger: Callable[[], None], has_model: bool
) -> None:
    if has_model:
        publish(project)
    strategies = build_strategies(project)
    assert len(strategies) > 40
    for name, strategy in strategies.items():
        from_the_same_ledger()
        held = given(strategy, studies)
        for number in range(2):
            assert held is not None
            found = looked(project, strategy)
            image_id, slices = held
            record_annotation(project.ledger, image_id, f"{number}", "0", "ann", slices=slices)
            assert given(strategy, studies) == found, name
            held = found


def test_what_comes_before_a_strategys_proposals_is_found_as_well(open_study: Callable[..., Project]) -> None:
    project = open_study(readers="2", readers_share="1")
    strategy = build_strategies(project)["random"]
    studies = Studies(Path(project.studies))
    record_annotation(project.ledger, "a", "1", "0", "bob")
    assert looked(project, strategy) == ("a", None), "a second reading"
    record_draft(project.ledger, "c", "2", "0", "ann", reason=DraftReason.SAID, why="said", shown_as="original")
    assert looked(project, strategy) == ("c", None), "the annotator's own draft"
    assert looked(project, strategy, "bob") != ("c", None)
    assert given(strategy, studies) == ("c", None)
    assert looked(project, strategy) == ("a", None), "the draft is before them already"


def test_a_skipped_case_is_found_when_nothing_else_is_left(project: Project, studies: Studies) -> None:
    strategy = build_strategies(project)["random"]
    held = given(strategy, studies)
    assert held is not None
    project.ledger.skip_case("ann", NOT_NOW)
    assert looked(project, strategy) != held
    for image_id in set(IMAGES) - {held[0]}:
        project.ledger.skip_case("bob", CANNOT, "no contrast agent", image_id)
    assert looked(project, strategy) == held
    assert looked(project, strategy, "eve") == held
    assert given(strategy, studies, "eve") == held
    assert looked(project, strategy) is None, "another annotator has it"


def test_images_that_cannot_be_used_are_left_out_of_a_look(project: Project) -> None:
    strategy = build_strategies(project)["random"]
    first = strategy.look("ann")
    assert first is not None
    second = strategy.look("ann", {first.image_id})
    assert second is not None
    assert second.image_id != first.image_id
    assert strategy.look("ann", IMAGES) is None


def test_only_strategies_that_compare_features_are_not_looked_at(project: Project) -> None:
    publish(project)
    looks = {name: strategy.look("ann") is not None for name, strategy in host_strategies(project).items()}
    dear = {name for name, found in looks.items() if not found}
    assert dear == {"coreset", "typiclust", "coreset_slices", "typiclust_slices"}
    assert {traits_of(name).needs for name in dear} == {Needs.FEATURES}


@pytest.mark.parametrize(
    ("cold_start", "is_looked_at"), [("proxy_rank", True), ("typiclust", False), ("coreset", False)]
)
def test_nor_is_any_of_a_recipe_that_starts_by_features(
    open_study: Callable[..., Project], cold_start: str, is_looked_at: bool
) -> None:
    strategies = host_strategies(open_study(cold_start))
    for name in ("recipe", "entropy"):
        assert (strategies[name].look("ann") is not None) == is_looked_at
