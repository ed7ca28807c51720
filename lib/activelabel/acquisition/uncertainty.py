"""The uncertainty of a network at each voxel, from its repeated predictions.

There are five measures, each 0 where the network is certain and larger where it is less so. The functions define them
on all repeats at once; `MonteCarloStatistics` computes the same from one repeat at a time, in memory that does not
grow. Three measures also exist for a single pass with dropout off, which ma2024 calls entropy, least confidence and
margin sampling; the other two measure how repeats differ. Probabilities are softmax, background is class 0. `R`
repeats, `C` >= 2 classes, any number of spatial axes `*S`. A NaN stays a NaN in the map; it is refused where scores are
ranked (`selection.top_k`). `MonteCarloStatistics` has the measures of the module `exclusive` or, for structures that
overlap, of `overlapping`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from activelabel.acquisition import exclusive as of_exclusive
from activelabel.acquisition import overlapping as of_overlapping
from activelabel.acquisition.overlapping import entr
from activelabel.recipes import LEAST_REPEATS, needs_repeats

# Values that are updated together: their temporaries then fit into a processor's second-level cache. A GPU has no use
# for small blocks: to start so many kernels would take longer than their work.
_BLOCK_VALUES = {"cpu": 1 << 17, "cuda": 1 << 24}
_LEAST_BLOCK_VOXELS = 1 << 10
# Its exponential is 0 in single precision: no product of 0 and minus infinity comes up.
_LEAST_LOGIT = -200.0

_Block = tuple[Tensor, Tensor, Tensor]
"""Of some repeats of n voxels: the mean `(C, n)`, the sum of squared deviations from it, and that of entropies."""


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
    return of_exclusive.entropy(_checked_samples(samples).mean(dim=0))


def mutual_information(samples: Tensor) -> Tensor:
    """Entropy of the mean minus mean of the entropies: BALD (Houlsby et al. 2011, one of the base methods of ma2024).

    Takes and raises what `variance` does. Returns float32 `(*S)` in [0, ln C]; 0 for one repeat. Values that rounding
    makes negative are set to 0.
    """
    samples = _checked_samples(samples)
    expected = entr(samples).sum(dim=1).mean(dim=0)
    return (of_exclusive.entropy(samples.mean(dim=0)) - expected).clamp_min_(0)


def least_confidence(samples: Tensor) -> Tensor:
    """1 − p₁ of the mean over repeats, p₁ the largest class probability (a base method of ma2024).

    Takes and raises what `variance` does. Returns float32 `(*S)` in [0, 1 − 1/C].
    """
    return of_exclusive.least_confidence(_checked_samples(samples).mean(dim=0))


def margin(samples: Tensor) -> Tensor:
    """1 − (p₁ − p₂) of the mean over repeats, p₁ ≥ p₂ the two largest (a base method of ma2024).

    Takes and raises what `variance` does. Returns float32 `(*S)` in [0, 1].
    """
    return of_exclusive.margin(_checked_samples(samples).mean(dim=0))


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
        self._of = of_overlapping if overlapping else of_exclusive
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
        self._update(samples.detach(), self._of_probabilities)

    def update_logits(self, logits: Tensor) -> None:
        """Take several more repeats as `update_all` takes their softmax, from logits `(R, C, *S)`, in less time.

        The entropy of a softmax needs one logarithm a voxel then, and not one for each class. Raises what `update`
        does, and `ValueError` where structures overlap: their probabilities are no softmax.
        """
        if self.overlapping:
            raise ValueError("structures overlap: their probabilities are no softmax, give them to update_all()")
        self._update(logits.detach().to(torch.float32, memory_format=torch.contiguous_format), _of_logits)

    def _update(self, samples: Tensor, of_block: Callable[[Tensor], "_Block"]) -> None:
        """Add repeats `(R, C, *S)` block by block; `of_block` gives what is added for some voxels, `(R, C, n)`."""
        if self._is_single_pass:
            raise ValueError("these are the statistics of a single pass with dropout off, to which no repeat is added")
        if self._mean is None:
            self._mean = self._begin(samples[0])
        if samples.shape[1:] != self._mean.shape:
            raise ValueError(
                f"every repeat must be {tuple(self._mean.shape)} as the first, got {tuple(samples.shape[1:])}"
            )
        repeats, classes = samples.shape[:2]
        at_once = max(_BLOCK_VALUES[samples.device.type] // (repeats * classes), _LEAST_BLOCK_VOXELS)
        blocks = zip(
            samples.reshape(repeats, classes, -1).split(at_once, dim=2),
            self._mean.view(classes, -1).split(at_once, dim=1),
            self._squared_deviations.view(-1).split(at_once),
            self._entropies.view(-1).split(at_once),
            strict=True,
        )
        for some, *maps in blocks:
            self._combine(of_block(some.float()), repeats, *maps)
        self.repeats += repeats

    def _combine(
        self, block: "_Block", added: int, mean: Tensor, squared_deviations: Tensor, entropies: Tensor
    ) -> None:
        """Add repeats to the maps of n voxels: two sets of values combined (Chan et al. 1979)."""
        before = self.repeats
        own_mean, own_squares, own_entropies = block
        apart = own_mean - mean
        squared_deviations += own_squares
        mean.add_(apart, alpha=added / (before + added))
        if before:
            squared_deviations.add_(self._decided(apart.square_()).sum(dim=0), alpha=before * added / (before + added))
        entropies += own_entropies
        if self.overlapping:
            mean[0] = 1 - mean[1:].amax(dim=0)

    def _of_probabilities(self, samples: Tensor) -> "_Block":
        own_mean = samples.mean(dim=0)
        squares = (samples - own_mean).square_().movedim(1, 0)
        entropies = self._of.entropy(self._decided(samples.movedim(1, 0))).sum(dim=0)
        return own_mean, self._decided(squares).sum(dim=(0, 1)), entropies

    def part(self, rows: slice) -> "MonteCarloStatistics":
        """The statistics of a part of the volume along its first axis, which share memory with these."""
        return self._with_maps(self.mean[:, rows], self._squared_deviations[rows], self._entropies[rows])

    def turned(self, axis: int) -> "MonteCarloStatistics":
        """The statistics with `axis` of the volume as the first one, also in memory; for axis 0 these themselves."""
        if axis == 0:
            return self
        maps = (map.movedim(axis, 0).contiguous() for map in (self._squared_deviations, self._entropies))
        return self._with_maps(self.mean.movedim(1 + axis, 1).contiguous(), *maps)

    def _with_maps(self, mean: Tensor, squared_deviations: Tensor, entropies: Tensor) -> "MonteCarloStatistics":
        other = MonteCarloStatistics(self.overlapping)
        other.repeats, other._is_single_pass = self.repeats, self._is_single_pass
        other._mean, other._squared_deviations, other._entropies = mean, squared_deviations, entropies
        return other

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
        return self._of.entropy(self._decided(self.mean))

    def mutual_information(self) -> Tensor:
        """See the function `mutual_information`."""
        return self._mutual_information(self.entropy())

    def maps(self, measures: Sequence[str]) -> list[Tensor]:
        """The maps of several measures of `MEASURES`; what two of them need is computed once."""
        entropy = self.entropy() if {"entropy", "mutual_information"} & set(measures) else None
        found = []
        for measure in measures:
            if entropy is not None and measure == "entropy":
                found.append(entropy)
            elif entropy is not None and measure == "mutual_information":
                found.append(self._mutual_information(entropy))
            else:
                found.append(MEASURES[measure](self))
        return found

    def _mutual_information(self, entropy: Tensor) -> Tensor:
        self._check_repeated("mutual_information")
        return (entropy - self._entropies / self.repeats).clamp_min_(0)

    def least_confidence(self) -> Tensor:
        """See the function `least_confidence`."""
        return self._of.least_confidence(self._decided(self.mean))

    def margin(self) -> Tensor:
        """See the function `margin`."""
        return self._of.margin(self._decided(self.mean))

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


def _of_logits(logits: Tensor) -> _Block:
    """What the softmax of logits `(R, C, n)` adds, with log Σ e^l − Σ p·l as its entropy."""
    logits = (logits - logits.amax(dim=1, keepdim=True)).clamp_min_(_LEAST_LOGIT)
    probabilities = logits.exp()
    sums = probabilities.sum(dim=1, keepdim=True)
    probabilities /= sums
    entropies = sums.log_().sum(dim=(0, 1)) - logits.mul_(probabilities).sum(dim=(0, 1))
    own_mean = probabilities.sum(dim=0).div_(len(logits))
    return own_mean, probabilities.sub_(own_mean).square_().sum(dim=(0, 1)), entropies
