"""The login provider that the host's settings name, `MONAI_LABEL_AUTH_*`."""

from monailabel.config import settings as host

from activelabel.login.identity import Role
from activelabel.login.provider import Provider
from activelabel.login.tokens import TokenRules

MANAGER = "monailabel-manager"
"""The provider's name of the role manager, for which the host has no setting."""


def host_provider() -> Provider | None:
    """The login provider; None if the host's login is off."""
    if not host.MONAI_LABEL_AUTH_ENABLE:
        return None
    rules = TokenRules(
        issuer=host.MONAI_LABEL_AUTH_REALM_URI.rstrip("/"),
        audience=host.MONAI_LABEL_AUTH_CLIENT_ID,
        name_claim=host.MONAI_LABEL_AUTH_TOKEN_USERNAME,
        roles_claim=host.MONAI_LABEL_AUTH_TOKEN_ROLES,
        roles={
            host.MONAI_LABEL_AUTH_ROLE_ANNOTATOR: Role.ANNOTATOR,
            host.MONAI_LABEL_AUTH_ROLE_REVIEWER: Role.REVIEWER,
            MANAGER: Role.MANAGER,
            host.MONAI_LABEL_AUTH_ROLE_ADMIN: Role.ADMIN,
        },
    )
    return Provider(host.MONAI_LABEL_AUTH_CLIENT_ID, rules, host.MONAI_LABEL_AUTH_TIMEOUT)
