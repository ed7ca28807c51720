"""The history of an image before a label came: the versions of its labels, and the masks that models showed.

Drawings are digests of slices (`data.slice_digests`), so that they can be compared without the voxels.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from activelabel.data.slice_digests import SliceDigests, differing, drawn_on
from activelabel.errors import InvalidInputError


@dataclass(frozen=True)
class Version:
    """A version of a label.

    Attributes:
        number: counts from 1 within the versions of one tag.
        annotator: who sent it.
        content: the digests of its slices, or the error of reading its file, which matters only if it is compared.
        created_at: when it was kept.
        superseded_at: when a newer version took its place.
        deleted_at: when it was taken back.
        is_draft: whether its annotator had not finished it.
        sent_otherwise: the digest of each slice that its annotator sent otherwise than the version has it; None if that
            was not kept.
    """

    number: int
    annotator: str
    content: SliceDigests | InvalidInputError
    created_at: datetime
    superseded_at: datetime | None = None
    deleted_at: datetime | None = None
    is_draft: bool = False
    sent_otherwise: Mapping[int, str] | None = None

    @property
    def drawing(self) -> SliceDigests:
        """The digests of its slices.

        Raises:
            InvalidInputError: its file is gone or was changed.
        """
        if isinstance(self.content, InvalidInputError):
            raise self.content
        return self.content

    @property
    def sent(self) -> SliceDigests | None:
        """The digests of the slices that its annotator sent, before they were merged; None if that was not kept.

        Raises:
            InvalidInputError: as `drawing`.
        """
        otherwise = self.sent_otherwise
        if otherwise is None:
            return None
        return tuple(otherwise.get(index, digest) for index, digest in enumerate(self.drawing))

    def counted_after(self, since: datetime | None) -> bool:
        """Whether it was current at some time after `since`; always True if `since` is None."""
        ends = (self.superseded_at, self.deleted_at)
        return since is None or all(end is None or end > since for end in ends)


@dataclass(frozen=True)
class History:
    """The state and history of an image when a label comes back.

    Attributes:
        asks_slices: whether the project asks for slices.
        covered: the slices that the label that counts covers; None if no label counts.
        is_partial: whether the label that counts covers only some slices.
        finals: every version of the final label, oldest first.
        originals: every version of the label that clients open with the image, oldest first.
        shown: the masks that models showed of the image, by the model's version.
    """

    asks_slices: bool
    covered: frozenset[int] | None = None
    is_partial: bool = False
    finals: tuple[Version, ...] = ()
    originals: tuple[Version, ...] = ()
    shown: Mapping[int, SliceDigests] = field(default_factory=dict)

    @property
    def counting(self) -> Version | None:
        """The final label that counts now."""
        newest = self.finals[-1] if self.finals else None
        return None if newest is None or newest.deleted_at is not None else newest

    def changed_by(self, version: Version) -> set[int]:
        """The slices that a final label changed, compared with the label that it replaced."""
        for before in self.finals:
            if before.number == version.number - 1 and before.deleted_at is None:
                return differing(version.drawing, before.drawing)
        return drawn_on(version.drawing)

    def last_changed_by(self, annotator: str) -> set[int]:
        """The slices of the label that counts whose last change was this annotator's."""
        own, others = set[int](), set[int]()
        for version in reversed(self.finals):
            if version.deleted_at is not None:
                break
            changed = self.changed_by(version)
            if version.annotator == annotator:
                own |= changed - others
            else:
                others |= changed - own
        return own

    def sent_by(self, annotator: str, since: datetime) -> list[Version]:
        """The final labels that this annotator has sent since `since`, oldest first; none from before a deletion."""
        sent: list[Version] = []
        for version in self.finals:
            if not version.counted_after(since):
                continue
            if version.deleted_at is not None:
                sent = []
            elif version.annotator == annotator and version.created_at >= since:
                sent.append(version)
        return sent

    def left_drawn(self, versions: list[Version]) -> set[int]:
        """The slices that were not empty after the last of these final labels that changed them."""
        left = set[int]()
        for version in versions:
            changed = self.changed_by(version)
            left = left - changed | changed & drawn_on(version.drawing)
        return left

    def left_as_sent(self, version: Version) -> set[int]:
        """The slices on which the label that counts still shows what the annotator of a version has sent."""
        counting, sent = self.counting, version.sent
        if counting is None or sent is None:
            return set()
        return set(range(len(sent))) - differing(sent, counting.drawing)

    def repeats_draft_of(self, annotators: Collection[str], index: int, version: Version) -> bool:
        """Whether what a version shows on a slice was drawn first by one of them, in a draft since their last label.

        Other originals that cannot be read are passed over: they may be older than all that counts.
        """

        def counts(one: Version) -> bool:
            return (
                one.is_draft
                and one.annotator in annotators
                and not any(
                    label.annotator == one.annotator and label.created_at > one.created_at for label in self.finals
                )
            )

        earlier = (one for one in self.originals if one.created_at <= version.created_at)
        compared = (one for one in earlier if counts(one) or not isinstance(one.content, InvalidInputError))
        return counts(next((one for one in compared if one.drawing[index] == version.drawing[index]), version))
