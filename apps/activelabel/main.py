"""What `monailabel start_server --app apps/activelabel` loads: the app of the package."""

from activelabel.server.host_app.main import App as App
