"""Many who ask for maps at once: a few are computed, some wait, and more are told to come later."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from activelabel.errors import TooManyError
from activelabel.server.actions.maps import ModelMap
from activelabel.server.routes import map_routes
from activelabel.server.routes.turns import Turns

RUNNING, WAITING = 1, 2


def test_when_many_maps_wait_a_further_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    made = ModelMap(tmp_path / "map.nii.gz", ".nii.gz", "variance", 1)
    made.file.write_bytes(b"map")

    def compute(*_: object) -> ModelMap:
        assert go_on.wait(120)
        return made

    app = SimpleNamespace(maps=SimpleNamespace(uncertainty=compute), datastore=None)
    monkeypatch.setattr(map_routes, "application", lambda: app)
    monkeypatch.setattr(map_routes, "require_image", lambda *_: None)

    async def all_taken(turns: Turns) -> None:
        while turns._taken < RUNNING + WAITING:
            await asyncio.sleep(0.01)

    async def ask() -> list[int]:
        turns = Turns(RUNNING, WAITING)
        monkeypatch.setattr(map_routes, "turns", turns)
        asked = [asyncio.create_task(map_routes.uncertainty_map(None, "a")) for _ in range(RUNNING + WAITING)]
        try:
            await asyncio.wait_for(all_taken(turns), 120)
            with pytest.raises(TooManyError, match="2 requests wait for the model already") as refused:
                await asyncio.wait_for(map_routes.uncertainty_map(None, "b"), 60)
            assert refused.value.seconds
        finally:
            go_on.set()
        return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == [200] * (RUNNING + WAITING)
