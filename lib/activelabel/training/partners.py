"""Foreground in every mini-batch (chlebus2022, II.B), even where the annotated slices of a case are empty."""

from monai.transforms import Randomizable
from torch import Tensor
from torch.utils.data import Dataset

from activelabel.recipes import TrainingSettings

Patch = dict[str, Tensor]


class PartneredCases(Dataset[list[Patch]]):
    """The patches of cases; the first patch of a case without foreground is one of its partner's.

    A partner is another case, which has foreground.

    Without foreground, Dice over the mini-batch is 0 whatever the network predicts, so the network would learn nothing
    from empty slices. The partner is drawn anew each time from all cases with foreground; if there are none, the case
    stays alone. The first patch of a case shows whether it has foreground, so no case is read or kept only to be a
    partner.
    """

    def __init__(self, cases: Dataset[list[Patch]]) -> None:
        """`cases` give patches like `training_transforms`, the first of them around foreground if there is any."""
        self._cases = cases
        self._random = Randomizable()  # seeded by the loader, like all randomness in `cases`
        self._empty: set[int] = set()

    def __len__(self) -> int:
        """The number of cases."""
        return len(self._cases)  # type: ignore[arg-type]  # torch declares no length

    def __getitem__(self, index: int) -> list[Patch]:
        """As many patches as the case at `index` gives."""
        patches = self._draw(index)
        if index not in self._empty:
            return patches
        return [self._patch_of_partner() or patches[0], *patches[1:]]

    def _patch_of_partner(self) -> Patch | None:
        while others := sorted(set(range(len(self))) - self._empty):
            partner = int(self._random.R.choice(others))
            first, *_ = self._draw(partner)
            if partner not in self._empty:
                return first
        return None

    def _draw(self, index: int) -> list[Patch]:
        patches = self._cases[index]
        if (patches[0]["label"] > 0).any():
            self._empty.discard(index)  # an earlier rotation may have moved its only foreground out of the patch
        else:
            self._empty.add(index)
        return patches


def with_partners(cases: Dataset[list[Patch]], settings: TrainingSettings) -> Dataset[list[Patch]]:
    """The same cases, with partners if the first of several patches must hold foreground."""
    stratified = settings.patches_per_volume > 1 and settings.foreground_share is None
    return PartneredCases(cases) if stratified else cases
