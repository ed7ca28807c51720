"""Routes for maps of the model in use over an image: its uncertainty, and the probability of a structure."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from activelabel.server.actions.maps import MapForm, ModelMap
from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute
from activelabel.server.routes.request_checks import require_image
from activelabel.server.routes.served import application
from activelabel.server.routes.turns import turns
from activelabel.server.routes.whole_file import whole_file

router = APIRouter(route_class=OneLineRoute, prefix="/activelabel")

Name = Annotated[str, Query(min_length=1, max_length=255)]
MODEL_HEADER, QUANTITY_HEADER = "X-Activelabel-Model", "X-Activelabel-Quantity"
"""Headers of the answer: the version of the model, and the measure or `probability`."""


@router.get("/uncertainty", response_model=None)
async def uncertainty_map(
    user: AnyUser, image: Name, form: MapForm | None = None, measure: str | None = None
) -> StreamingResponse:
    """Give the uncertainty of the model in use at each voxel of an image; it is computed once and then kept."""
    return await _map(image, lambda: application().maps.uncertainty(image, measure, form))


@router.get("/probability", response_model=None)
async def probability_map(user: AnyUser, image: Name, label: Name, form: MapForm | None = None) -> StreamingResponse:
    """Give the probability of a structure at each voxel of an image; it is computed once and then kept."""
    return await _map(image, lambda: application().maps.probability(image, label, form))


async def _map(image: str, compute: Callable[[], ModelMap]) -> StreamingResponse:
    """Compute the map in a worker thread, in turn with the inferences.

    Raises:
        TooManyError: too many requests wait for their turn.
    """

    def run() -> tuple[ModelMap, StreamingResponse]:
        require_image(image, application().datastore)
        made = compute()
        return made, whole_file(made.file, f"{image}_{made.quantity}{made.ending}")

    made, response = await turns.run(run)
    response.headers[MODEL_HEADER], response.headers[QUANTITY_HEADER] = str(made.model_version), made.quantity
    response.headers["Cache-Control"] = "no-store"  # another model may be in use at the next request
    return response
