"""Labels compared with the uncertainty of the model in use: a real network, and labels made wrong at chosen voxels."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from killed_reads import CountedReads, Killed
from numpy.typing import NDArray
from scipy.stats import spearmanr
from training_study import Study

from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.loop.scoring import VolumeScoring
from activelabel.loop.uncertainty_check import compare_labels, compared_measure
from activelabel.networks import build_network
from activelabel.project.models.publishing import publish_model
from activelabel.recipes.strategy_traits import TRAITS
from activelabel.store.records.labels import Annotation
from activelabel.store.records.models import UncertaintyCheck
from activelabel.strategies.catalogue import build_strategies, build_strategy, strategy_names

CPU = torch.device("cpu")
SHAPE = (24, 20, 16)
SLICE_VOXELS = 24 * 20


class PowerCut(BaseException):
    """An error that no code expects."""


@pytest.fixture
def study(study: Study) -> Study:
    """The project of eight images, its slices along the last axis, with a model of random weights."""
    study.set_slices(axis=2, count=16)
    publish(study)
    return study


def publish(study: Study, seen: list[int] | None = None, seed: int = 0, scale: float = 1.0) -> int:
    """Publish a model of random weights that has learnt these labels, and return its version."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        weights = build_network(study.project.recipe.network, classes=2).state_dict()
    known = [item for item in study.project.ledger.annotations() if item.id in (seen or [])]
    return publish_model(study.project, {name: scale * value for name, value in weights.items()}, {}, known).version


def labels(study: Study) -> list[Annotation]:
    return study.project.ledger.annotations()


def compare(study: Study, datastore: object = None) -> list[UncertaintyCheck]:
    compare_labels(study.project, labels(study), datastore or study, CPU)  # type: ignore[arg-type]
    return study.project.ledger.uncertainty_checks()


def seen_by(study: Study, image_id: str) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return the predicted ball and the variance of the model in use, in the voxel order of the image's file."""
    image = prepare_image(read_volume(study.get_image_uri(image_id)), study.project.recipe.preprocessing)
    statistics = study.project.predictor(study.project.current_model()).sample(image.tensor, 3, 0)
    ball, variance = statistics.mean.argmax(dim=0).numpy() == 1, statistics.variance().numpy()
    return np.flip(ball, axis=(0, 1)), np.flip(variance, axis=(0, 1))  # the files' x and y run against RAS


def draw(study: Study, image_id: str, wrong: NDArray[np.bool_], slices: list[int] | None = None) -> int:
    """Annotate an image so that the model in use is wrong at exactly these voxels, and return the label's id."""
    ball, _ = seen_by(study, image_id)
    (made,) = study.annotate(image_id, slices=slices)
    file = study.project.labels_folder / f"{image_id}.nii.gz"
    nibabel.save(nibabel.Nifti1Image((ball ^ wrong).astype(np.uint8), nibabel.load(file).affine), file)
    return made


def test_errors_where_uncertainty_is_largest_are_worth_1_and_where_least_minus_1(study: Study) -> None:
    first, second = study.ids("training")[:2]
    for image_id, sign in ((first, 1), (second, -1)):
        _, variance = seen_by(study, image_id)
        draw(study, image_id, sign * variance > np.sort(sign * variance, axis=None)[-101])

    checks = compare(study)

    assert [(check.measure, check.wrong_voxels, check.voxels) for check in checks] == [("variance", 100, 7680)] * 2
    assert [check.worth for check in checks] == pytest.approx([1.0, -1.0], abs=1e-3)
    largest = math.sqrt(3 * 100 * 7580 / (7680**2 - 1))
    assert [check.correlation for check in checks] == pytest.approx([largest, -largest], abs=1e-3)


def test_the_correlation_is_scipys_over_the_whole_volume(study: Study) -> None:
    first = study.ids("training")[0]
    ball, variance = seen_by(study, first)
    (made,) = study.annotate(first)
    reference = np.asarray(nibabel.load(study.labels / f"{first}.nii.gz").dataobj) == 1

    (check,) = compare(study)

    assert (check.annotation_id, check.model_version) == (made, 1)
    assert check.wrong_voxels == np.count_nonzero(ball != reference)
    assert check.correlation == pytest.approx(spearmanr(variance, ball != reference, axis=None).statistic)


def test_a_perfect_prediction_is_no_evidence_against_the_uncertainty(study: Study) -> None:
    draw(study, study.ids("training")[0], np.zeros(SHAPE, dtype=bool))

    (check,) = compare(study)

    assert (check.correlation, check.wrong_voxels, check.voxels) == (None, 0, 7680)


def test_only_annotated_slices_count(study: Study) -> None:
    first = study.ids("training")[0]
    wrong = np.zeros(SHAPE, dtype=bool)
    wrong[:4, :, 3] = True
    wrong[:, :, 9] = True
    draw(study, first, wrong, slices=[2, 3])
    _, variance = seen_by(study, first)

    (check,) = compare(study)

    assert (check.wrong_voxels, check.voxels) == (4 * 20, 2 * SLICE_VOXELS)
    expected = spearmanr(variance[..., [2, 3]], wrong[..., [2, 3]], axis=None).statistic
    assert check.correlation == pytest.approx(expected)


def test_slices_that_the_model_has_learned_do_not_count(study: Study) -> None:
    first = study.ids("training")[0]
    before = study.annotate(first, slices=[2, 3])
    publish(study, seen=before)
    study.annotate(first, slices=[2, 3, 7])

    assert [check.voxels for check in compare(study)] == [SLICE_VOXELS]


def test_a_volume_that_the_model_has_learned_and_that_was_corrected_is_not_compared(study: Study) -> None:
    first = study.ids("training")[0]
    publish(study, seen=study.annotate(first))
    study.annotate(first)

    assert compare(study) == []


def test_each_label_is_compared_with_the_model_that_was_in_use_when_it_came(study: Study) -> None:
    first, second, third = study.ids("training")[:3]
    during_the_training = study.annotate(first)
    publish(study, seed=1)
    after_it = study.annotate(second, third)

    checks = compare(study)

    assert [(check.annotation_id, check.model_version) for check in checks] == [
        (during_the_training[0], 1), (after_it[0], 2), (after_it[1], 2),
    ]  # fmt: skip


def test_a_model_that_was_withdrawn_is_not_judged(study: Study) -> None:
    study.project.ledger.withdraw_model(publish(study, seed=1))
    study.annotate(study.ids("training")[0])

    assert [check.model_version for check in compare(study)] == [1]


def test_labels_saved_before_the_first_model_are_not_compared(make_study: Callable[..., Study], blobs) -> None:
    study = make_study(blobs(4))
    study.annotate(*study.ids("training")[:1])
    assert compare(study) == []
    publish(study)

    assert compare(study) == []


def test_labels_that_the_newest_model_has_learnt_are_not_compared_again(study: Study) -> None:
    publish(study, seen=study.annotate(*study.ids("training")[:2]))
    files = CountedReads(study.get_image_uri)

    assert compare(study, files) == []
    assert files.read == []


def test_a_killed_comparison_goes_on_where_it_was(study: Study, make_study: Callable[..., Study], tmp_path) -> None:
    ids = [*study.ids("training")[:3], *study.ids("validation")]
    study.annotate(*ids)
    files = CountedReads(study.get_image_uri)
    for killed_at in (2, 3):
        files.killed_at = killed_at
        with pytest.raises(Killed):
            compare(study, files)
        assert len(study.project.ledger.uncertainty_checks()) == killed_at
    files.killed_at = None
    resumed = compare(study, files)
    assert files.read == ids

    undisturbed = make_study(study, project_dir=str(tmp_path / "undisturbed"))
    undisturbed.set_slices(axis=2, count=16)
    publish(undisturbed)
    undisturbed.annotate(*ids)
    numbers = [
        [(check.annotation_id, check.correlation, check.wrong_voxels) for check in checks]
        for checks in (resumed, compare(undisturbed))
    ]
    assert numbers[0] == numbers[1]


def test_a_case_that_cannot_be_read_is_passed_over(study: Study, caplog: pytest.LogCaptureFixture) -> None:
    broken, bad_label, whole = study.ids("training")[:3]
    made = study.annotate(broken, bad_label, whole)
    Path(study.get_image_uri(broken)).write_bytes(b"broken")
    (study.project.labels_folder / f"{bad_label}.nii.gz").write_bytes(b"broken")

    with caplog.at_level(logging.WARNING):
        checks = compare(study)

    assert [check.annotation_id for check in checks] == [made[2]]
    ledger = study.project.ledger
    assert "cannot be read" in ledger.image(broken).unreadable_reason
    assert f"{broken} is set aside" in caplog.text
    assert ledger.image(bad_label).unreadable_reason is None
    assert f"{bad_label}: its label is not compared with the uncertainty" in caplog.text


def test_a_model_whose_file_is_gone_is_compared_with_nothing_and_the_next_one_is(
    study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = study.ids("training")[:2]
    study.annotate(first)
    publish(study, seed=1)
    made = study.annotate(second)
    (study.project.models_folder / study.project.ledger.model(1).file).unlink()

    with caplog.at_level(logging.WARNING):
        checks = compare(study)

    assert [check.annotation_id for check in checks] == made
    assert "the uncertainty of model 1 is compared with no label" in caplog.text


def test_a_model_that_gives_no_numbers_is_compared_with_nothing(study: Study, caplog: pytest.LogCaptureFixture) -> None:
    publish(study, scale=1e38)  # finite weights whose results are infinite
    study.annotate(study.ids("training")[0])

    with caplog.at_level(logging.WARNING):
        assert compare(study) == []

    assert "the variance of model 2 is no number" in caplog.text


def test_a_training_compares_the_new_labels_before_it_learns_from_them(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = study.annotate(*study.ids("training")[:2], *study.ids("validation"))

    with monkeypatch.context() as patch:
        patch.setattr("activelabel.loop.training.segmentation.SegmentationTraining.learn", _cut_power)
        with pytest.raises(PowerCut):
            study.train()
    before = study.project.ledger.uncertainty_checks()
    assert [(check.annotation_id, check.model_version) for check in before] == [(label, 1) for label in made]

    study.train(max_epochs=1)
    later = study.annotate(study.ids("training")[2])
    study.train(max_epochs=1)

    checks = study.project.ledger.uncertainty_checks()
    assert checks[:-1] == before
    assert (checks[-1].annotation_id, checks[-1].model_version) == (later[0], 2)
    assert study.project.ledger.latest_model().version == 3


def _cut_power(*arguments: object) -> None:
    raise PowerCut


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", ["{}", "selective_{}", "{}_slices", "selective_{}_slices", "object_{}"])
def test_labels_are_compared_with_the_measure_that_the_strategy_is_named_after(measure: str, name: str) -> None:
    assert compared_measure(name.format(measure)) == measure


@pytest.mark.parametrize(
    ("strategy", "measure"),
    [
        ("power_bald", "mutual_information"),
        ("power_bald_slices", "mutual_information"),
        ("uncertainty_volumes", "entropy"),
        ("uncertainty_slices", "entropy"),
        ("random_volumes", "entropy"),
        ("clasp_pe", "entropy"),
        ("proxy_rank", "entropy"),
    ],
)
def test_strategies_named_after_no_measure_are_compared_by_their_methods_measure_or_entropy(
    strategy: str, measure: str
) -> None:
    assert compared_measure(strategy) == measure


class Host:
    """The part of the host's datastore that a strategy uses."""

    def __init__(self, study: Study) -> None:
        self.image_files = study.image_files

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        return {}


@pytest.fixture
def misled(make_study: Callable[..., Study], blobs: Callable[[int], Any]) -> Callable[..., Study]:
    """A study whose model was wrong exactly where it was most certain, in two labels, and has scored the rest."""

    def make(**conf: str) -> Study:
        study = make_study(blobs(8), uncertainty_window="2", **conf)
        study.set_slices(axis=2, count=16)
        publish(study)
        for image_id in study.ids("training")[:2]:
            _, variance = seen_by(study, image_id)
            draw(study, image_id, variance < np.sort(variance, axis=None)[100])
        study.annotate(*study.ids("validation"))
        training = [label for label in labels(study) if label.image_id in study.ids("training")]
        compare_labels(study.project, training, study, CPU)  # type: ignore[arg-type]
        VolumeScoring(study.project, "variance").run(study)  # type: ignore[arg-type]
        return study

    return make


def ask(study: Study, strategy: str) -> dict[str, Any]:
    return build_strategies(study.project)[strategy].next("ann", Host(study))  # type: ignore[arg-type]


SAID = (
    "where the model is uncertain says little of where it is wrong "
    "(rank correlation -1.00 over the last 2 labels, below 0.1)"
)


@pytest.mark.parametrize("strategy", ["random", "variance_slices"])
def test_a_model_that_is_wrong_where_it_is_certain_is_distrusted_and_the_reason_says_so(
    misled: Callable[..., Study], strategy: str
) -> None:
    study = misled()
    assert [check.correlation < 0 for check in study.project.ledger.uncertainty_checks()] == [True, True]

    answer = ask(study, strategy)

    assert "by model 1" in answer["reason"]
    assert f"; but {SAID}" in answer["reason"]  # for slices, where to draw comes after it


@pytest.mark.parametrize(
    ("strategy", "instead"), [("variance", "foreground_random"), ("uncertainty_slices", "foreground_random_slices")]
)
def test_a_distrusted_model_is_replaced_by_random_foreground_queries_if_allowed(
    misled: Callable[..., Study], strategy: str, instead: str
) -> None:
    study = misled(fallback="true")
    first = next(build_strategy(study.project, instead).proposals())

    answer = ask(study, strategy)

    assert (answer["id"], answer["query"].get("slices")) == (first.image_id, first.slices and list(first.slices))
    assert answer["reason"].startswith(
        f"{first.reason}, not by uncertainty: {SAID}"
    )  # for slices, where to draw comes after it
    assert answer["strategy"] == strategy


def test_distrust_does_not_change_strategies_without_uncertainty(misled: Callable[..., Study]) -> None:
    study = misled(fallback="true")
    names = strategy_names(study.project.recipe)
    minding = {
        name
        for name in names
        if any(SAID in proposal.reason for proposal in build_strategy(study.project, name).proposals())
    }
    assert minding == {name for name in names if TRAITS[name].by_uncertainty}
