"""Recognises addresses of this machine."""

import ipaddress


def is_loopback(address: str) -> bool:
    """Whether an address belongs to this machine; true for the empty address of a unix socket."""
    if address in ("localhost", ""):
        return True
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
