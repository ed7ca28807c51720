"""A folder's datastore that follows its files, and its routes without the rest of a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from activelabel.project.project import Project
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.opening import open_datastore
from activelabel.server.routes import datastore_routes


@contextmanager
def following_datastore(project: Project) -> Iterator[LedgerDatastore]:
    """Open the datastore of a project's folder; afterwards it is closed."""
    store = open_datastore(project, project.studies, follow_changes=True)
    yield store
    store.close()


def client_of(store: LedgerDatastore, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Return a client of the datastore's routes."""

    class App:
        datastore = store
        blind = SimpleNamespace(require_may_see=lambda label, tag: None)  # nobody reads blind

    monkeypatch.setattr(datastore_routes, "application", App)
    app = FastAPI()
    app.router.routes[:0] = datastore_routes.router.routes
    return TestClient(app)
