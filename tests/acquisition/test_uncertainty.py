"""Measures against values worked out by hand and against numpy; streaming against direct; their symmetries."""

import math
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special
from torch import Tensor

from activelabel.acquisition import uncertainty
from activelabel.acquisition.uncertainty import MEASURES, MonteCarloStatistics, measures_with

DIRECT = {name: getattr(uncertainty, name) for name in MEASURES}


def one_voxel(*repeats: tuple[float, ...]) -> Tensor:
    """(R, C, 1): the probabilities of one voxel in each repeat."""
    return torch.tensor(repeats)[:, :, None]


def streamed(samples: Tensor) -> MonteCarloStatistics:
    statistics = MonteCarloStatistics()
    for probabilities in samples:
        statistics.update(probabilities)
    return statistics


@st.composite
def samples(draw: st.DrawFn) -> Tensor:
    """Softmax of a few repeats, classes and voxels, from near-uniform to certain."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(2, 5), st.integers(1, 3), st.integers(1, 4)))
    logits = draw(hnp.arrays(np.float64, shape, elements=st.floats(-30, 30)))
    return torch.softmax(torch.from_numpy(logits), dim=1).float()


@pytest.mark.parametrize(
    ("measure", "repeats", "expected"),
    [
        # Two classes: (0.8 and 0.4) has mean 0.6 and variance 0.04, and so has its complement.
        ("variance", [(0.8, 0.2), (0.4, 0.6)], 0.04),
        # Three classes: variances 0.01, 0.04 and 0.01.
        ("variance", [(0.6, 0.1, 0.3), (0.4, 0.5, 0.1)], 0.06 / 3),
        ("variance", [(0.9, 0.1)] * 5, 0.0),
        ("variance", [(1.0, 0.0), (0.0, 1.0)], 0.25),
        ("entropy", [(0.5, 0.5)], math.log(2)),
        ("entropy", [(1.0, 0.0), (0.0, 1.0)], math.log(2)),
        ("entropy", [(1.0, 0.0, 0.0)], 0.0),
        ("entropy", [(0.25, 0.25, 0.25, 0.25)], math.log(4)),
        ("entropy", [(0.5, 0.25, 0.25)], 1.5 * math.log(2)),
        ("mutual_information", [(1.0, 0.0), (0.0, 1.0)], math.log(2)),
        ("mutual_information", [(0.5, 0.5)] * 4, 0.0),
        # Mean (0.75, 0.25); entropies 0 and ln 2.
        ("mutual_information", [(1.0, 0.0), (0.5, 0.5)], 2 * math.log(2) - 0.75 * math.log(3) - 0.5 * math.log(2)),
        ("least_confidence", [(0.8, 0.2), (0.4, 0.6)], 0.4),
        ("least_confidence", [(1.0, 0.0)], 0.0),
        ("margin", [(0.8, 0.2), (0.4, 0.6)], 0.8),
        ("margin", [(0.5, 0.1, 0.4)], 0.9),
        ("margin", [(0.0, 1.0)], 0.0),
    ],
)
def test_values_worked_out_by_hand(measure: str, repeats: list[tuple[float, ...]], expected: float) -> None:
    voxel = one_voxel(*repeats)
    assert DIRECT[measure](voxel).tolist() == pytest.approx([expected], abs=1e-6)
    assert MEASURES[measure](streamed(voxel)).tolist() == pytest.approx([expected], abs=1e-6)


@given(samples())
def test_measures_equal_an_independent_implementation_in_float64(samples: Tensor) -> None:
    p = samples.double().numpy()
    mean = p.mean(axis=0)

    def plain_entropy(q: np.ndarray, axis: int) -> np.ndarray:
        return -np.where(q > 0, q * np.log(np.where(q > 0, q, 1.0)), 0.0).sum(axis=axis)

    ordered = np.sort(mean, axis=0)
    expected = {
        "variance": ((p - mean) ** 2).sum(axis=(0, 1)) / (p.shape[0] * p.shape[1]),
        "entropy": plain_entropy(mean, 0),
        "mutual_information": plain_entropy(mean, 0) - plain_entropy(p, 1).mean(axis=0),
        "least_confidence": 1 - ordered[-1],
        "margin": 1 - ordered[-1] + ordered[-2],
    }
    for name, measure in DIRECT.items():
        np.testing.assert_allclose(measure(samples).numpy(), expected[name], atol=2e-6, err_msg=name)


@given(samples())
def test_streaming_equals_direct(samples: Tensor) -> None:
    statistics = streamed(samples)
    assert statistics.repeats == len(samples)
    torch.testing.assert_close(statistics.mean, samples.mean(dim=0), atol=1e-6, rtol=0)
    for name, measure in MEASURES.items():
        torch.testing.assert_close(measure(statistics), DIRECT[name](samples), atol=1e-6, rtol=0)


@given(samples(), st.integers(1, 5), st.booleans())
def test_repeats_taken_together_equal_repeats_one_by_one(samples: Tensor, at_once: int, overlapping: bool) -> None:
    together, single = MonteCarloStatistics(overlapping), MonteCarloStatistics(overlapping)
    for some in samples.split(at_once):
        together.update_all(some)
    for one in samples:
        single.update(one)
    assert together.repeats == single.repeats == len(samples)
    torch.testing.assert_close(together.mean, single.mean, atol=1e-6, rtol=0)
    for measure in MEASURES.values():
        torch.testing.assert_close(measure(together), measure(single), atol=1e-6, rtol=0)


def test_a_part_has_the_measures_of_the_part() -> None:
    volume = torch.softmax(torch.randn(3, 2, 9, 4, 5, generator=torch.Generator().manual_seed(4)), dim=1)
    statistics = streamed(volume)
    for measure in MEASURES.values():
        assert torch.equal(measure(statistics.part(slice(2, 5))), measure(statistics)[2:5])


@given(samples(), st.randoms(use_true_random=False))
def test_order_of_repeats_and_of_classes_does_not_matter(samples: Tensor, random: Random) -> None:
    repeats, classes = list(range(samples.shape[0])), list(range(samples.shape[1]))
    random.shuffle(repeats)
    random.shuffle(classes)
    shuffled = samples[repeats][:, classes]
    for name, measure in DIRECT.items():
        torch.testing.assert_close(measure(shuffled), measure(samples), atol=2e-6, rtol=0, msg=name)


@given(samples())
def test_measures_stay_in_their_ranges(samples: Tensor) -> None:
    classes = samples.shape[1]
    largest = {
        "variance": 0.25,
        "entropy": math.log(classes),
        "mutual_information": math.log(classes),
        "least_confidence": 1 - 1 / classes,
        "margin": 1.0,
    }
    for name, measure in MEASURES.items():
        map = measure(streamed(samples))
        assert map.shape == samples.shape[2:]
        assert map.dtype == torch.float32
        assert float(map.min()) >= -1e-6
        assert float(map.max()) <= largest[name] + 1e-6


@given(samples())
def test_one_repeat_has_no_variance_and_no_mutual_information(samples: Tensor) -> None:
    for name in ("variance", "mutual_information"):
        assert float(DIRECT[name](samples[:1]).abs().max()) <= 1e-6
        assert float(MEASURES[name](streamed(samples[:1])).abs().max()) <= 1e-6


@given(st.integers(1, 5), st.integers(2, 4))
def test_a_certain_class_has_no_uncertainty(repeats: int, classes: int) -> None:
    certain = torch.zeros(repeats, classes, 2, 2)
    certain[:, classes - 1] = 1
    for name in MEASURES:
        assert DIRECT[name](certain).eq(0).all()
        assert MEASURES[name](streamed(certain)).eq(0).all()


def test_volumes_of_several_blocks_equal_direct() -> None:
    # Larger than one block of the update, and no multiple of it.
    volume = torch.softmax(torch.randn(3, 2, 50, 50, 30, generator=torch.Generator().manual_seed(1)), dim=1)
    for name, measure in MEASURES.items():
        torch.testing.assert_close(measure(streamed(volume)), DIRECT[name](volume), atol=1e-6, rtol=0)


def test_low_precision_and_strided_repeats_are_taken_in_float32_and_left_alone() -> None:
    repeat = torch.softmax(torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(2)), dim=-1).bfloat16()
    channels_last = repeat.movedim(-1, 0)
    before = channels_last.clone()
    statistics = MonteCarloStatistics()
    statistics.update(channels_last)
    statistics.update(channels_last)
    assert statistics.mean.dtype == torch.float32
    assert statistics.mean.equal(before.float())
    assert channels_last.equal(before)


def test_memory_does_not_grow_with_repeats() -> None:
    def held_bytes(statistics: MonteCarloStatistics) -> int:
        return sum(value.nbytes for value in vars(statistics).values() if isinstance(value, Tensor))

    repeat = torch.full((3, 4, 4, 4), 1 / 3)
    statistics = streamed(repeat[None])
    first = held_bytes(statistics)
    for _ in range(20):
        statistics.update(repeat)
    assert held_bytes(statistics) == first == (3 + 2) * 64 * 4


def test_a_nan_stays_visible() -> None:
    repeats = torch.full((2, 2, 3), 0.5)
    repeats[1, :, 1] = math.nan
    for name in MEASURES:
        for map in (DIRECT[name](repeats), MEASURES[name](streamed(repeats))):
            assert map.isnan().tolist() == [False, True, False], name


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 1, 3), (2,)])
def test_samples_without_repeats_or_classes_are_refused(shape: tuple[int, ...]) -> None:
    for measure in DIRECT.values():
        with pytest.raises(ValueError, match=r"R >= 1 and C >= 2"):
            measure(torch.zeros(shape))


def test_statistics_refuse_what_does_not_fit() -> None:
    statistics = MonteCarloStatistics()
    for measure in MEASURES.values():
        with pytest.raises(ValueError, match="no repeat"):
            measure(statistics)
    with pytest.raises(ValueError, match="C >= 2"):
        statistics.update(torch.zeros(1, 4))
    statistics.update(torch.full((2, 4), 0.5))
    with pytest.raises(ValueError, match=r"\(2, 4\).*\(2, 5\)"):
        statistics.update(torch.full((2, 5), 0.5))


def test_a_single_pass_has_the_three_measures_that_need_no_repeats() -> None:
    statistics = MonteCarloStatistics.of_single_pass(torch.tensor([[0.7, 0.5], [0.3, 0.5]]))
    assert statistics.repeats == 0
    assert statistics.mean.equal(torch.tensor([[0.7, 0.5], [0.3, 0.5]]))
    assert statistics.least_confidence().tolist() == pytest.approx([0.3, 0.5])
    assert statistics.margin().tolist() == pytest.approx([0.6, 1.0])
    assert statistics.entropy().tolist() == pytest.approx([0.610864, math.log(2)], abs=1e-6)


@pytest.mark.parametrize("measure", ["variance", "mutual_information"])
def test_a_single_pass_has_no_measure_of_how_repeats_differ(measure: str) -> None:
    statistics = MonteCarloStatistics.of_single_pass(torch.full((2, 3), 0.5))
    with pytest.raises(ValueError, match=f"{measure} is how repeats differ, and a single pass"):
        MEASURES[measure](statistics)


def test_a_single_pass_keeps_its_own_numbers_and_takes_no_repeat() -> None:
    probabilities = torch.full((2, 3), 0.5)
    statistics = MonteCarloStatistics.of_single_pass(probabilities)
    probabilities.zero_()
    assert statistics.mean.eq(0.5).all()
    with pytest.raises(ValueError, match="to which no repeat is added"):
        statistics.update(probabilities)
    with pytest.raises(ValueError, match="C >= 2"):
        MonteCarloStatistics.of_single_pass(torch.zeros(1, 4))


@pytest.mark.parametrize(("repeats", "count"), [(0, 3), (1, 3), (2, 5), (20, 5)])
def test_measures_that_would_be_0_everywhere_are_none(repeats: int, count: int) -> None:
    names = measures_with(repeats)
    assert len(names) == count
    assert {"entropy", "least_confidence", "margin"} <= set(names)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_logits_give_the_statistics_of_their_softmax_in_double_precision(scale: float) -> None:
    """Two halves of the repeats, in a layout with the classes innermost; every measure to 1e-6, and its sum to 1e-5."""
    logits = scale * torch.randn((6, 9, 8, 7, 3), generator=torch.Generator().manual_seed(1)).movedim(-1, 1)
    statistics = MonteCarloStatistics()
    for half in logits.split(3):
        statistics.update_logits(half)
    p = torch.softmax(logits.double(), dim=1).numpy()
    mean = p.mean(axis=0)
    entropies = -special.xlogy(p, p).sum(axis=1).mean(axis=0)
    entropy = -special.xlogy(mean, mean).sum(axis=0)
    expected = {
        "variance": p.var(axis=0).mean(axis=0),
        "entropy": entropy,
        "mutual_information": entropy - entropies,
        "least_confidence": 1 - mean.max(axis=0),
    }
    for name, map in expected.items():
        found = MEASURES[name](statistics).double().numpy()
        np.testing.assert_allclose(found, map, atol=2e-6)
        assert found.sum() == pytest.approx(map.sum(), rel=1e-5)


def test_a_logit_of_minus_infinity_is_a_probability_of_zero() -> None:
    statistics = MonteCarloStatistics()
    statistics.update_logits(torch.tensor([[[0.0], [0.0], [-math.inf]]]))
    assert statistics.mean[:, 0].tolist() == [0.5, 0.5, 0.0]
    assert statistics.entropy().item() == pytest.approx(math.log(2))
    assert statistics.mutual_information().item() == pytest.approx(0, abs=1e-6)


def test_logits_of_structures_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="no softmax"):
        MonteCarloStatistics(overlapping=True).update_logits(torch.zeros(1, 3, 2))


def test_maps_of_several_measures_are_those_of_each() -> None:
    statistics = MonteCarloStatistics()
    statistics.update_all(torch.rand((4, 3, 5), generator=torch.Generator().manual_seed(2)).softmax(dim=1))
    for name, map in zip(MEASURES, statistics.maps(tuple(MEASURES)), strict=True):
        assert map.equal(MEASURES[name](statistics)), name
