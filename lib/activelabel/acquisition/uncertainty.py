"""The uncertainty of a network at each voxel, from its repeated predictions.

There are five measures, each 0 where the network is certain and larger where it is less so. The functions define them
on all repeats at once; `MonteCarloStatistics` computes the same from one repeat at a time, in memory that does not
grow. Three measures also exist for a single pass with dropout off, which ma2024 calls entropy, least confidence and
margin sampling; the other two measure how repeats differ. Probabilities are softmax, background is class 0. `R`
repeats, `C` >= 2 classes, any number of spatial axes `*S`. A NaN stays a NaN in the map; it is refused where scores are
ranked (`selection.top_k`). For structures that overlap, `MonteCarloStatistics` has the measures of the module
`overlapping`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from activelabel.acquisition import overlapping as of_overlapping
from activelabel.recipes import LEAST_REPEATS, needs_repeats

# Values that are updated together: their temporaries then fit into a processor's second-level cache.
_BLOCK_VALUES = 1 << 17
_LEAST_BLOCK_VOXELS = 1 << 10


def variance(samples: Tensor) -> Tensor:
    """Mean over classes of the population variance over repeats (rahimi2022, eq. 1).

    Args:
        samples: probabilities `(R, C, *S)`.

    Returns:
        float32 `(*S)` in [0, 0.25]; 0 for one repeat.

    Raises:
        ValueError: `samples` holds no repeat or fewer than two classes.
    """
    return _checked_samples(samples).var(dim=0, correction=0).mean(dim=0)


def entropy(samples: Tensor) -> Tensor:
    """Entropy of the mean over repeats, natural logarithm, 0·log 0 = 0 (chlebus2022, eq. 2).

    Takes and raises what `variance` does. Returns float32 `(*S)` in [0, ln C].
    """
    return _entropy(_checked_samples(samples).mean(dim=0))


def mutual_information(samples: Tensor) -> Tensor:
    """Entropy of the mean minus mean of the entropies: BALD (Houlsby et al. 2011, one of the base methods of ma2024).

    Takes and raises what `variance` does. Returns float32 `(*S)` in [0, ln C]; 0 for one repeat. Values that rounding
    makes negative are set to 0.
    """
    samples = _checked_samples(samples)
    expected = of_overlapping.entr(samples).sum(dim=1).mean(dim=0)
    return (_entropy(samples.mean(dim=0)) - expected).clamp_min_(0)


def least_confidence(samples: Tensor) -> Tensor:
    """1 − p₁ of the mean over repeats, p₁ the largest class probability (a base method of ma2024).

    Takes and raises what `variance` does. Returns float32 `(*S)` in [0, 1 − 1/C].
    """
    return _least_confidence(_checked_samples(samples).mean(dim=0))


def margin(samples: Tensor) -> Tensor:
    """1 − (p₁ − p₂) of the mean over repeats, p₁ ≥ p₂ the two largest (a base method of ma2024).

    Takes and raises what `variance` does. Returns float32 `(*S)` in [0, 1].
    """
    return _margin(_checked_samples(samples).mean(dim=0))


class MonteCarloStatistics:
    """The five measures from repeats that come one at a time; no repeat is kept.

    Holds `C + 2` float32 maps whatever the number of repeats: the mean, and per voxel the sum over classes of squared
    deviations (Welford 1962) and the sum of entropies. Each measure equals the function of its name to 1e-6.

    If structures are `overlapping`, each class but the background is a decision of its own, and the measures are those
    of the module `overlapping`; variance and mutual information are means over structures too.
    """

    def __init__(self, overlapping: bool = False) -> None:
        self.repeats = 0
        self.overlapping = overlapping
        self._is_single_pass = False
        self._mean: Tensor | None = None
        self._squared_deviations = torch.empty(0)
        self._entropies = torch.empty(0)

    @classmethod
    def of_single_pass(cls, probabilities: Tensor, overlapping: bool = False) -> "MonteCarloStatistics":
        """The statistics of one pass with dropout off, `(C, *S)`: `repeats` is 0, and the pass is the mean.

        A single pass has no variance and no mutual information, and no repeat may follow.

        Raises:
            ValueError: fewer than two classes.
        """
        statistics = cls(overlapping)
        statistics._begin(probabilities)
        statistics._mean = probabilities.detach().float().clone()
        statistics._is_single_pass = True
        return statistics

    def update(self, probabilities: Tensor) -> None:
        """Take one more repeat, `(C, *S)`, on the device of the first. The tensor is neither kept nor changed.

        Raises:
            ValueError: fewer than two classes, or another shape than before, or these are those of a single pass.
        """
        self.update_all(probabilities[None])

    def update_all(self, samples: Tensor) -> None:
        """Take several more repeats, `(R, C, *S)`, as `update` takes each. Faster than one at a time."""
        if self._is_single_pass:
            raise ValueError("these are the statistics of a single pass with dropout off, to which no repeat is added")
        if self._mean is None:
            self._mean = self._begin(samples[0])
        if samples.shape[1:] != self._mean.shape:
            raise ValueError(
                f"every repeat must be {tuple(self._mean.shape)} as the first, got {tuple(samples.shape[1:])}"
            )
        repeats, classes = samples.shape[:2]
        at_once = max(_BLOCK_VALUES // (repeats * classes), _LEAST_BLOCK_VOXELS)
        blocks = zip(
            samples.detach().reshape(repeats, classes, -1).split(at_once, dim=2),
            self._mean.view(classes, -1).split(at_once, dim=1),
            self._squared_deviations.view(-1).split(at_once),
            self._entropies.view(-1).split(at_once),
            strict=True,
        )
        for of_block in blocks:
            self._update_block(*of_block)
        self.repeats += repeats

    def _update_block(self, samples: Tensor, mean: Tensor, squared_deviations: Tensor, entropies: Tensor) -> None:
        """Add repeats `(R, C, n)` to the maps of these n voxels: two sets of values combined (Chan et al. 1979)."""
        before, added = self.repeats, len(samples)
        samples = samples.float()
        own_mean = samples.mean(dim=0)
        if added > 1:
            squares = (samples - own_mean).square_().movedim(1, 0)
            squared_deviations += self._decided(squares).sum(dim=(0, 1))
        apart = own_mean - mean
        mean.add_(apart, alpha=added / (before + added))
        if before:
            squared_deviations.add_(self._decided(apart.square_()).sum(dim=0), alpha=before * added / (before + added))
        entropies += self._entropy(samples.movedim(1, 0)).sum(dim=0)
        if self.overlapping:
            mean[0] = 1 - mean[1:].amax(dim=0)

    def part(self, rows: slice) -> "MonteCarloStatistics":
        """The statistics of a part of the volume along its first axis, which share memory with these."""
        part = MonteCarloStatistics(self.overlapping)
        part.repeats, part._is_single_pass = self.repeats, self._is_single_pass
        part._mean = self.mean[:, rows]
        part._squared_deviations, part._entropies = self._squared_deviations[rows], self._entropies[rows]
        return part

    def _begin(self, probabilities: Tensor) -> Tensor:
        """Create empty maps for predictions of this shape, and return the map of the mean."""
        if probabilities.ndim < 1 or probabilities.shape[0] < 2:
            raise ValueError(f"probabilities must be (C, *S) with C >= 2 classes, got {tuple(probabilities.shape)}")
        self._squared_deviations = torch.zeros(probabilities.shape[1:], device=probabilities.device)
        self._entropies = torch.zeros_like(self._squared_deviations)
        return torch.zeros(probabilities.shape, device=probabilities.device)

    @property
    def mean(self) -> Tensor:
        """Mean probabilities over the repeats so far, float32 `(C, *S)`. Raises `ValueError` before the first."""
        if self._mean is None:
            raise ValueError("no repeat has been given yet: call update() first")
        return self._mean

    @property
    def memory_bytes(self) -> int:
        """The memory that the maps take: 4 · (C + 2) bytes a voxel. Raises `ValueError` before the first repeat."""
        return self.mean.nbytes + self._squared_deviations.nbytes + self._entropies.nbytes

    def variance(self) -> Tensor:
        """See the function `variance`. Raises `ValueError` before the first repeat, as all measures do.

        Like `mutual_information`, it also raises for a single pass, where it would be 0 everywhere.
        """
        self._check_repeated("variance")
        return self._squared_deviations / (self.repeats * len(self._decided(self.mean)))

    def entropy(self) -> Tensor:
        """See the function `entropy`."""
        return self._entropy(self.mean)

    def mutual_information(self) -> Tensor:
        """See the function `mutual_information`."""
        self._check_repeated("mutual_information")
        return (self._entropy(self.mean) - self._entropies / self.repeats).clamp_min_(0)

    def least_confidence(self) -> Tensor:
        """See the function `least_confidence`."""
        measure = of_overlapping.least_confidence if self.overlapping else _least_confidence
        return measure(self._decided(self.mean))

    def margin(self) -> Tensor:
        """See the function `margin`."""
        return (of_overlapping.margin if self.overlapping else _margin)(self._decided(self.mean))

    def _entropy(self, probabilities: Tensor) -> Tensor:
        return (of_overlapping.entropy if self.overlapping else _entropy)(self._decided(probabilities))

    def _decided(self, maps: Tensor) -> Tensor:
        """The maps of what is decided: of all classes, or, where structures overlap, of these without background."""
        return maps[1:] if self.overlapping else maps

    def _check_repeated(self, measure: str) -> None:
        if self._is_single_pass:
            raise ValueError(f"{measure} is how repeats differ, and a single pass with dropout off has none")


MEASURES: dict[str, Callable[[MonteCarloStatistics], Tensor]] = {
    "variance": MonteCarloStatistics.variance,
    "entropy": MonteCarloStatistics.entropy,
    "mutual_information": MonteCarloStatistics.mutual_information,
    "least_confidence": MonteCarloStatistics.least_confidence,
    "margin": MonteCarloStatistics.margin,
}


def measures_with(repeats: int) -> tuple[str, ...]:
    """Names of the measures that exist after `repeats` repeats; 0 means a single pass with dropout off.

    For fewer than two repeats, variance and mutual information would be 0 everywhere and are left out.
    """
    return tuple(name for name in MEASURES if repeats >= LEAST_REPEATS or not needs_repeats(name))


def _checked_samples(samples: Tensor) -> Tensor:
    if samples.ndim < 2 or samples.shape[0] < 1 or samples.shape[1] < 2:
        raise ValueError(f"samples must be (R, C, *S) with R >= 1 and C >= 2, got {tuple(samples.shape)}")
    return samples.float()


def _entropy(probabilities: Tensor) -> Tensor:
    return of_overlapping.entr(probabilities).sum(dim=0)


def _least_confidence(mean: Tensor) -> Tensor:
    return 1 - mean.amax(dim=0)


def _margin(mean: Tensor) -> Tensor:
    largest, second = two_largest(mean)
    return 1 - (largest - second)


def two_largest(mean: Tensor) -> tuple[Tensor, Tensor]:
    """p₁ ≥ p₂, the two largest probabilities of each voxel: `(C, *S)` → twice `(*S)`. Faster than `torch.topk`."""
    largest, second = torch.maximum(mean[0], mean[1]), torch.minimum(mean[0], mean[1])
    for probability in mean[2:]:
        second = torch.maximum(second, torch.minimum(largest, probability))
        largest = torch.maximum(largest, probability)
    return largest, second
