"""Foreground in every mini-batch (chlebus2022, II.B), also where slices were asked for and are empty."""

from monai.transforms import Randomizable
from torch import Tensor
from torch.utils.data import Dataset

from activelabel.recipes import TrainingSettings

Patch = dict[str, Tensor]


class PartneredCases(Dataset[list[Patch]]):
    """The patches of cases; where nothing is drawn in a case, another one, its partner, gives the first patch.

    Without it, Dice over the mini-batch is 0 whatever the network predicts there, so that nothing would be learnt from
    empty slices. The partner is drawn anew each time, from all that have foreground; without any, the case stays alone.
    That a case has none is known from its first patch, so cases are neither read nor kept for being partners.
    """

    def __init__(self, cases: Dataset[list[Patch]]) -> None:
        """`cases` give patches as `training_transforms` does, the first of them around foreground if there is any."""
        self._cases = cases
        self._random = Randomizable()  # seeded by the loader, with all else that is random in `cases`
        self._empty: set[int] = set()

    def __len__(self) -> int:
        """How many cases there are."""
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
            self._empty.discard(index)  # its only foreground, in a corner, may have been turned out of the patch before
        else:
            self._empty.add(index)
        return patches


def with_partners(cases: Dataset[list[Patch]], settings: TrainingSettings) -> Dataset[list[Patch]]:
    """The same cases, with partners if one patch of several is to hold foreground."""
    stratified = settings.patches_per_volume > 1 and settings.foreground_share is None
    return PartneredCases(cases) if stratified else cases
