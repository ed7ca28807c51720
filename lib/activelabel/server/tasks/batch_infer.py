"""The host's batch inference, which an unreadable image does not stop."""

from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from activelabel.errors import InvalidInputError
from activelabel.project.setting_aside import set_aside, set_aside_unreadable
from activelabel.store.ledger import Ledger

Infer = Callable[[Mapping[str, Any], Datastore], dict[str, Any]]


class ReadableBatchInfer(BatchInferTask):
    """Segments all readable images; sets the others aside in the ledger, each with its reason."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __call__(self, request: Mapping[str, Any], datastore: Datastore, infer: Infer) -> dict[str, Any]:
        """Run `infer` on each image; the result of an unreadable image is empty."""

        def infer_if_readable(one: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
            image_id = one["image"]
            if set_aside_unreadable(image_id, datastore, self._ledger, was_scored=False):
                return {}
            try:
                return infer(one, datastore)
            except InvalidInputError as error:
                set_aside(image_id, error, self._ledger, datastore)
                return {}

        return dict(super().__call__(request, datastore, infer_if_readable))
