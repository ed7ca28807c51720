"""Which addresses are this machine's own."""

import ipaddress


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own; a unix socket has none."""
    if address in ("localhost", ""):
        return True
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
