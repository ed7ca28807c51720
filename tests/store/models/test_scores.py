import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import record_annotation
from sqlalchemy import event

from activelabel.acquisition.score import ImageScores, Score
from activelabel.acquisition.selection import top_k
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.names import ScoreKind
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.models import scores

KIND = ScoreKind("entropy", aggregation="mean")


@pytest.fixture
def scored(study):
    """A ledger whose model 1 has scored the images a to f: .1, .2, … .6."""
    study.publish_model("m.pt", "0", "quick", ["liver"], {}, [])
    for rank, image_id in enumerate("abcdef", 1):
        study.record_scores(1, image_id, [Score.of_kind(KIND, rank / 10)], repeats=5, seed=0)
    return study


def test_the_words_of_many_scores_are_checked_each_once(study, monkeypatch):
    study.publish_model("m.pt", "0", "quick", ["liver"], {}, [])
    checked = []
    monkeypatch.setattr(scores, "checked_word", lambda word, field: checked.append((field, word)))
    kinds = (KIND, ScoreKind("variance", aggregation="mean"))
    images = [ImageScores(image_id, tuple(Score.of_kind(kind, 0.5) for kind in kinds), 5) for image_id in "abcdef"]
    assert study.record_scores_of_images(1, images, 0) == []
    assert sorted(checked) == [
        ("aggregation", "mean"), ("measure", "entropy"), ("measure", "variance"), ("region", KIND.region),
    ]  # fmt: skip
    monkeypatch.undo()
    with pytest.raises(InvalidInputError, match=r"aggregation .*expected 1 to 64 characters, got 65"):
        study.record_scores(1, "a", [Score("entropy", KIND.region, "x" * 65, 0.5)], 5, 0)


def test_the_ranking_is_best_first(scored):
    ranking = scored.ranking(1, KIND, limit=4)
    assert list(ranking.items()) == [("f", 0.6), ("e", 0.5), ("d", 0.4), ("c", 0.3)]


def test_ties_are_broken_by_id(scored):
    for image_id in "edb":
        scored.record_scores(1, image_id, [Score.of_kind(KIND, 0.6)], 5, 0)
    assert list(scored.ranking(1, KIND, limit=5)) == ["b", "d", "e", "f", "c"]


def test_scores_of_more_repeats_come_first_and_are_never_compared_with_others(scored):
    for image_id, value, repeats in (("a", 0.15, 20), ("b", 0.05, 20), ("f", 0.9, 2)):
        scored.record_scores(1, image_id, [Score.of_kind(KIND, value)], repeats, 0)
    assert list(scored.ranking(1, KIND, limit=9)) == ["a", "b", "e", "d", "c", "f"]
    assert scored.score_repeats(1, KIND) == {"a": 20, "b": 20, "c": 5, "d": 5, "e": 5, "f": 2}
    assert scored.score_repeats(2, KIND) == {}


def test_only_images_of_the_pool_are_ranked(scored, clock):
    record_annotation(scored, "f", "f", "0", "ann")
    record_annotation(scored, "e", "f", "0", "ann", slices=[1])
    scored.mark_unreadable("d", "truncated")
    scored.grant_lease("ann", "c", 30, "variance")
    scored.sync_images("acdef", 0)
    assert list(scored.ranking(1, KIND, limit=9)) == ["e", "a"]
    clock.advance(30)
    assert list(scored.ranking(1, KIND, limit=9)) == ["e", "c", "a"]


def test_validation_images_are_never_ranked(ledger):
    ledger.sync_images([f"case_{number}" for number in range(8)], 2)
    ledger.publish_model("m.pt", "0", "quick", ["liver"], {}, [])
    for image in ledger.images():
        ledger.record_scores(1, image.id, [Score.of_kind(KIND, 0.5)], 5, 0)
    assert list(ledger.ranking(1, KIND, limit=9)) == ledger.pool("training")


def test_scores_of_other_kinds_and_models_are_not_mixed_in(scored):
    scored.publish_model("n.pt", "0", "quick", ["liver"], {}, [])
    scored.record_scores(2, "a", [Score.of_kind(KIND, 0.9)], 5, 0)
    others = [
        Score("variance", "everything", "mean", 0.8),
        Score("entropy", "target", "mean", 0.7),
        Score("entropy", "everything", "total", 0.65),
    ]
    scored.record_scores(1, "b", others, 5, 0)
    assert scored.ranking(1, KIND, limit=1) == {"f": 0.6}
    assert scored.ranking(2, KIND, limit=9) == {"a": 0.9}
    assert scored.ranking(1, ScoreKind("variance", aggregation="mean"), limit=9) == {"b": 0.8}
    assert scored.ranking(1, ScoreKind("entropy", "target", "mean"), limit=9) == {"b": 0.7}
    assert scored.ranking(1, ScoreKind("entropy"), limit=9) == {"b": 0.65}
    assert scored.ranking(3, KIND, limit=9) == {}


def test_scoring_again_replaces_the_earlier_scores(scored):
    scored.record_scores(1, "a", [Score.of_kind(KIND, 0.7, (0.25, 0.5))], 5, 0)
    scored.record_scores(1, "a", [Score.of_kind(KIND, 0.75, (0.125, 0.75, 1.0))], 20, 1)
    assert scored.ranking(1, KIND, limit=1) == {"a": 0.75}
    assert scored.slice_scores(1, KIND) == {"a": (0.125, 0.75, 1.0)}
    assert len(scored.ranking(1, KIND, limit=99)) == 6


def test_the_images_that_are_scored(scored):
    scored.publish_model("n.pt", "0", "quick", ["liver"], {}, [])
    scored.record_scores(2, "a", [Score.of_kind(KIND, 0.9)], 5, 0)
    scored.record_scores(2, "b", [Score.of_kind(KIND, 0.9, (0.5,))], 5, 0)
    scored.record_scores(2, "c", [Score("variance", "everything", "mean", 0.9)], 5, 0)
    scored.record_scores(2, "d", [], 5, 0)
    assert (scored.has_scores(1, KIND), scored.has_scores(2, KIND)) == (True, True)
    assert not scored.has_scores(1, ScoreKind("variance", aggregation="mean"))
    assert scored.scored_images(1, KIND) == set("abcdef")
    assert scored.scored_images(2, KIND) == {"a", "b"}


def test_every_volume_score_of_a_kind(scored):
    scored.record_scores(1, "a", [Score("variance", "everything", "mean", 0.9)], 5, 0)
    record_annotation(scored, "f", "f", "0", "ann")
    scored.sync_images("abcdf", 0)
    expected = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": 0.5, "f": 0.6}
    assert scored.volume_scores(1, KIND) == pytest.approx(expected)
    assert scored.volume_scores(2, KIND) == {}


def test_the_scores_of_slices_come_back_in_single_precision_and_in_their_order(scored):
    assert scored.slice_scores(1, KIND) == {}
    scored.record_scores(
        1,
        "b",
        [Score.of_kind(KIND, 1.0, (0.1, 1e-30, 0.0)), Score("variance", "everything", "mean", 1.0, (9.0,))],
        5,
        0,
    )
    scored.record_scores(1, "c", [Score.of_kind(KIND, 1.0, ())], 5, 0)
    kept = scored.slice_scores(1, KIND)
    assert kept.keys() == {"b", "c"}
    assert kept["b"] == tuple(np.array([0.1, 1e-30, 0.0], dtype=np.float32).tolist())
    assert kept["c"] == ()
    assert scored.slice_scores(2, KIND) == {}


def test_the_images_that_are_left_to_score(scored):
    scored.publish_model("n.pt", "0", "quick", ["liver"], {}, [])
    scored.record_scores(2, "a", [Score.of_kind(KIND, 0.9)], 5, 0)
    record_annotation(scored, "c", "f", "0", "ann")
    scored.mark_unreadable("d", "truncated")
    scored.grant_lease("ann", "e", 30, "random")
    assert scored.unscored(1, KIND) == []
    assert scored.unscored(2, KIND) == ["b", "e", "f"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_refused_and_none_of_its_image_is_kept(scored, value):
    with pytest.raises(ValueError, match="image 'a', measure 'entropy'"):
        scored.record_scores(1, "a", [Score("entropy", "target", "mean", 1.0), Score.of_kind(KIND, value)], 5, 0)
    assert scored.scored_images(1, ScoreKind("entropy", "target", "mean")) == set()


def test_impossible_scores_are_refused(scored):
    with pytest.raises(NotFoundError, match="image 'nobody'"):
        scored.record_scores(1, "nobody", [Score.of_kind(KIND, 1.0)], 5, 0)
    with pytest.raises(NotFoundError, match="model version 2"):
        scored.record_scores(2, "a", [Score.of_kind(KIND, 1.0)], 5, 0)
    with pytest.raises(ValueError, match="expected a finite number, got nan"):
        scored.record_scores(1, "a", [Score.of_kind(KIND, 1.0, (0.5, math.nan))], 5, 0)
    with pytest.raises(ValueError, match="seed"):
        scored.record_scores(1, "a", [Score.of_kind(KIND, 1.0)], 5, 2**63)
    with pytest.raises(InvalidInputError, match="measure"):
        scored.record_scores(1, "a", [Score("m" * 65, "everything", "mean", 1.0)], 5, 0)


def test_the_largest_seed_is_kept(scored):
    scored.record_scores(1, "a", [Score.of_kind(KIND, 1.0)], 5, 2**63 - 1)
    assert scored.ranking(1, KIND, limit=1) == {"a": 1.0}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=6), k=st.integers(1, 8))
def test_the_ranking_is_that_of_top_k(scored, values, k):
    scores = dict(zip("abcdef", values, strict=True))
    for image_id, value in scores.items():
        scored.record_scores(1, image_id, [Score.of_kind(KIND, value)], 5, 0)
    ranking = scored.ranking(1, KIND, limit=k)
    assert list(ranking) == list(top_k(scores, k))
    assert ranking == {image_id: scores[image_id] for image_id in ranking}


def test_the_ranking_is_read_from_its_index_and_not_sorted(tmp_path):
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    with ledger._reading() as session:
        statements = []
        event.listen(session.get_bind(), "before_cursor_execute", lambda *call: statements.append(call[2:4]))
        ledger.ranking(1, KIND, limit=16)
        sql, parameters = statements[-1]
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    ledger.close()
    assert plan[0].startswith("SEARCH scores USING COVERING INDEX ix_scores_ranking")
    assert plan[1].startswith("SEARCH images USING PRIMARY KEY")
    assert not any("TEMP B-TREE" in step for step in plan)
