"""Installs our routes and access checks in the host's server."""

from datetime import timedelta

from monailabel.endpoints.user.auth import get_current_user as host_user

from activelabel.login.accounts import SessionTimes
from activelabel.project.project import Project
from activelabel.project.settings import Settings
from activelabel.server.access import AccessGuard
from activelabel.server.login.gate import Login
from activelabel.server.login.host_settings import host_provider
from activelabel.server.routes.app_routes import ROUTES
from activelabel.server.routes.one_line_route import current_user
from activelabel.server.upload_limits import UploadGuard, UploadLimits


def guard_host(project: Project) -> None:
    """Put our routes before the host's, and our guard before all routes."""
    from monailabel.app import app as host  # this import builds the host's web server

    host.router.routes[:0] = ROUTES
    host.dependency_overrides[host_user] = current_user
    settings = project.settings
    limits = UploadLimits(settings.largest_upload_mb * 2**20, settings.uploads_at_once, settings.uploads_per_minute)
    host.middleware_stack = AccessGuard(
        UploadGuard(host.middleware_stack, limits),
        local_only=not settings.allow_remote,
        allowed_origins=project.settings.allowed_origins,
        login=Login(
            project.ledger,
            _session_times(settings),
            host_provider(),
            slicer_downloads=settings.slicer_downloads,
        ),
    )


def _session_times(settings: Settings) -> SessionTimes:
    idle = timedelta(minutes=settings.session_idle_minutes) if settings.session_idle_minutes else None
    return SessionTimes(timedelta(hours=settings.session_hours), idle)
