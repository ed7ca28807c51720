"""Every setting of a server."""

from activelabel.project.database_url import DATABASE_URL
from activelabel.project.settings import Settings
from reference_pages import fields
from reference_pages.markdown import page, table

INTRODUCTION = f"""
A server takes each setting as `--conf KEY VALUE`, the commands of `activelabel` as `--conf KEY=VALUE`. A setting
without a default is that of the recipe, or is off. The database may also come from the environment, as
`{DATABASE_URL}`.
""".strip()


def settings_page() -> str:
    """The page."""
    return page("Settings", INTRODUCTION, table(fields.HEADER, fields.rows(Settings)))
