"""Images as the ledger returns them. Slices are sorted indices along the slice axis; None means the whole volume."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Role = Literal["training", "validation"]
Slices = tuple[int, ...] | None
NamedSlices = tuple[int, ...] | Literal["all"] | None
"""The slices that a client says a label covers, `all` for the whole volume; None if it says nothing."""


@dataclass(frozen=True)
class Image:
    """A registered image. `role` never changes; `unreadable_reason` is None for an image that can be used.

    `slice_axis` is the voxel axis along which its slices are counted, `slice_count` their number; both are None until
    they were needed. `patient` is None where unknown. `content_sha256` (of shape and voxels), `file_size`,
    `file_modified_ns`, `file_changed_ns` (see `data.files.state`) and `intensities` (see `data.intensities`) describe
    its file as it was last read.
    `set_aside_stamp` is the state of its files when it was set aside, or a marker of why.
    """

    id: str
    added_at: datetime
    role: Role
    present: bool
    unreadable_reason: str | None
    unreadable_at: datetime | None
    slice_axis: int | None
    slice_count: int | None
    patient: str | None = None
    content_sha256: str | None = None
    file_size: int | None = None
    file_modified_ns: int | None = None
    file_changed_ns: int | None = None
    intensities: tuple[float, ...] | None = None
    set_aside_stamp: str | None = None

    @property
    def usable(self) -> bool:
        """Whether its file is present and, as far as is known, can be read."""
        return self.present and self.unreadable_reason is None


@dataclass(frozen=True)
class SlicesTaken:
    """An image of which slices may be asked for, and its slices that may not: they are annotated or leased."""

    image_id: str
    slice_axis: int | None
    slice_count: int | None
    taken: frozenset[int]
