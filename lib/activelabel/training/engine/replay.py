"""A training that continues a model: how much of it is new, how long it is, and what it begins with.

New labels alone would make a network forget the others, so a share of each pass goes through labels that it knows.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from activelabel.networks import build_network
from activelabel.training.engine.plan import Plan, Weights


def continued(plan: Plan, new: Sequence[int]) -> Plan:
    """A plan whose `weights` are those of a model that knows all cases but the `new` ones, with what its settings say
    of such a training: `continued_share`, `continued_learning_rate`, `replay_share`, `shrink`.

    Each number of epochs is at least 1, and the last epoch is validated.
    """
    assert plan.weights is not None
    settings = plan.training
    epochs = max(round(settings.epochs * (settings.continued_share or 1)), 1)
    changed: dict[str, float] = {"epochs": epochs, "validate_every": min(settings.validate_every, epochs)}
    if settings.continued_learning_rate is not None:
        changed["learning_rate"] = settings.continued_learning_rate
    weights = plan.weights if settings.shrink is None else shrunk(plan, settings.shrink)
    return replace(plan, training=settings.model_copy(update=changed), weights=weights, new=tuple(new))


def shrunk(plan: Plan, share: float) -> Weights:
    """The weights of a plan times `share`, plus random ones times the rest (Ash and Adams 2020, "warm-starting").

    The random ones are those that the plan's network begins with without weights. Numbers that are no weights, such as
    the statistics of a batch normalisation, stay.
    """
    assert plan.weights is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        fresh = build_network(plan.model.network, plan.model.classes, plan.model.inputs)
    learnt = {name for name, _ in fresh.named_parameters()}
    drawn = fresh.state_dict()
    return {
        name: share * known + (1 - share) * drawn[name].to(known) if name in learnt else known
        for name, known in plan.weights.items()
    }


def mixed_order(is_new: NDArray[np.bool_], share: float, random: np.random.Generator) -> NDArray[np.intp]:
    """The items of a pass in a random order, as many as there are, `share` of them (rounded) not new.

    Each item comes as often as the others of its kind, or once more. Without items of one kind, those of the other kind
    make up the pass.
    """
    count = len(is_new)
    kinds = [np.flatnonzero(~is_new), np.flatnonzero(is_new)]
    if not all(map(len, kinds)):
        return random.permutation(count)
    known = round(count * share)
    chosen = [_repeated(kind, wanted, random) for kind, wanted in zip(kinds, (known, count - known), strict=True)]
    return random.permutation(np.concatenate(chosen))


def _repeated(items: NDArray[np.intp], wanted: int, random: np.random.Generator) -> NDArray[np.intp]:
    """So many of the items in a random order, each as often as the others, or once more."""
    turns = [random.permutation(items) for _ in range(-(-wanted // len(items)))]
    return np.concatenate([*turns, items[:0]])[:wanted]  # an empty part, as there may be no turn
