"""Access of the routes to the app."""

from monailabel.interfaces.utils.app import app_instance

from activelabel.server.actions.application import Application


def application() -> Application:
    """The app that this server serves."""
    served: Application = app_instance().application
    return served
