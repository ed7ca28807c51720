import math

import pytest
from recorded import record_annotation
from sqlalchemy.exc import IntegrityError

from activelabel.errors import NotFoundError


def publish(ledger, file="m.pt", trained_on=(), validated_on=(), metrics=None, kind="task"):
    labels = ["liver", "tumour"]
    return ledger.publish_model(file, "ab" * 32, "quick", labels, metrics or {}, trained_on, validated_on, kind)


def test_versions_count_from_one(study, clock):
    assert study.latest_model() is None
    assert study.models() == []
    first = publish(study, "one.pt", metrics={"dice_liver": 0.91, "dice_tumour": None})
    assert (first.version, first.file, first.sha256, first.recipe) == (1, "one.pt", "ab" * 32, "quick")
    assert (first.labels, first.metrics) == (("liver", "tumour"), {"dice_liver": 0.91, "dice_tumour": None})
    assert (first.created_at, first.withdrawn_at) == (clock.now, None)
    second = publish(study, "two.pt")
    assert second.version == 2
    assert study.latest_model() == second
    assert study.models() == [first, second]
    assert study.model(1) == first


def test_a_withdrawn_model_is_used_no_more_and_its_number_is_not_given_again(study, clock):
    publish(study)
    publish(study)
    clock.advance(1)
    withdrawn = study.withdraw_model(2)
    assert withdrawn.withdrawn_at == clock.now
    assert study.latest_model().version == 1
    clock.advance(1)
    assert study.withdraw_model(2) == withdrawn
    assert publish(study).version == 3
    study.withdraw_model(3)
    study.withdraw_model(1)
    assert study.latest_model() is None
    assert len(study.models()) == 3


def test_an_unknown_version_is_answered_with_the_known_ones(study):
    with pytest.raises(NotFoundError, match=r"model version 1: .*there are: none"):
        study.model(1)
    publish(study)
    publish(study)
    for question in (study.model, study.withdraw_model):
        for version in (7, 10**30):
            with pytest.raises(NotFoundError, match=rf"model version {version}: .*there are: 1, 2"):
                question(version)


def test_a_model_knows_what_it_learned_from_and_what_judged_it(ledger):
    ledger.sync_images([f"case_{number}" for number in range(8)], 2)
    learned = [record_annotation(ledger, image_id, "f", "0", "ann").id for image_id in ledger.pool("training")[:3]]
    judged = [record_annotation(ledger, image_id, "f", "0", "ann").id for image_id in ledger.pool("validation")]
    model = publish(ledger, trained_on=reversed(learned), validated_on=judged)
    assert model.trained_on == tuple(learned)
    assert model.validated_on == tuple(judged)
    assert ledger.model(1) == model


def test_a_validation_case_is_never_trained_on(ledger):
    ledger.sync_images([f"case_{number}" for number in range(8)], 2)
    training = record_annotation(ledger, ledger.pool("training")[0], "f", "0", "ann").id
    validation = record_annotation(ledger, ledger.pool("validation")[0], "f", "0", "ann").id
    with pytest.raises(ValueError, match=rf"training: \[{validation}\] are not of a training image"):
        publish(ledger, trained_on=[training, validation])
    with pytest.raises(ValueError, match=rf"validation: \[{training}\] are not of a validation image"):
        publish(ledger, trained_on=[training], validated_on=[training])
    with pytest.raises(ValueError, match="99"):
        publish(ledger, trained_on=[99])
    assert ledger.models() == []
    assert [round_.number for round_ in ledger.rounds()] == [1]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_is_a_number_or_nothing(study, value):
    with pytest.raises(ValueError, match="metric 'dice'"):
        publish(study, metrics={"dice": value})


def test_a_round_begins_with_each_model(study, clock):
    assert study.rounds() == []
    study.grant_lease("ann", "a", 30, "random")
    started = clock.now
    clock.advance(10)
    publish(study)
    study.withdraw_model(1)
    clock.advance(10)
    record_annotation(study, "a", "f", "0", "ann")
    publish(study)
    rounds = [(round_.number, round_.model_version) for round_ in study.rounds()]
    assert rounds == [(1, None), (2, 1), (3, 2)]
    assert study.rounds()[0].started_at == started
    assert study.rounds()[2].started_at == clock.now


def test_a_model_may_begin_the_first_round(study):
    publish(study)
    assert [(round_.number, round_.model_version) for round_ in study.rounds()] == [(1, 1)]


def test_a_proxy_model_is_a_version_of_its_own_kind(study):
    proxy = publish(study, "proxy.pt", kind="proxy")
    assert (proxy.version, proxy.kind) == (1, "proxy")
    assert study.latest_model() is None
    assert study.models() == []
    assert study.latest_model("proxy") == proxy == study.model(1)
    task = publish(study, "task.pt")
    assert (task.version, task.kind) == (2, "task")
    publish(study, "later.pt", kind="proxy")
    assert study.latest_model() == task
    assert study.models() == [task]
    assert [model.version for model in study.models("proxy")] == [1, 3]
    study.withdraw_model(3)
    assert study.latest_model("proxy") == proxy
    assert study.latest_model() == task


def test_no_round_begins_with_a_proxy_model(study):
    publish(study, kind="proxy")
    assert study.rounds() == []
    study.grant_lease("ann", "a", 30, "proxy_rank", model_version=1)
    publish(study, kind="proxy")
    assert [(round_.number, round_.model_version) for round_ in study.rounds()] == [(1, None)]
    publish(study)
    assert [(round_.number, round_.model_version) for round_ in study.rounds()] == [(1, None), (2, 3)]


def test_a_model_of_an_unknown_kind_is_refused(study):
    with pytest.raises(IntegrityError):
        publish(study, kind="teacher")


def test_models_in_service_are_those_that_were_not_withdrawn(study):
    for _ in range(3):
        publish(study)
    study.withdraw_model(2)
    assert [model.version for model in study.models()] == [1, 2, 3]
    assert [model.version for model in study.models(in_service=True)] == [1, 3]
    assert study.models("proxy", in_service=True) == []
