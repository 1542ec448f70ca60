"""IP addresses: which are the Internet's, which are this machine's, and which belong to one customer.

Pure: no name is looked up.
"""

import ipaddress

from yarl import URL

#: Names of this machine, as an address of the settings may have them.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_address(text: str) -> bool:
    """Whether this is an IP address, and not a name."""
    return _parsed(text) is not None


def is_public(text: str) -> bool:
    """Whether an IP address is one of the Internet's; one that holds another stands for that."""
    address = _parsed(text.partition("%")[0])
    if address is None:
        return False
    if isinstance(address, ipaddress.IPv6Address) and (inner := _inner(address)):
        return is_public(str(inner))
    special = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return address.is_global and not special


def is_loopback(text: str) -> bool:
    """Whether an IP address, or localhost, is reached from this machine only."""
    address = _parsed(text)
    return text == "localhost" if address is None else address.is_loopback


def names_loopback(url: URL) -> bool:
    """Whether an address says itself that it is this machine's."""
    return url.host in LOOPBACK


def network(text: str) -> str:
    """What counts as one address, where somebody is counted by it: with IPv6 the 64 bits that one customer has.

    A text that is no IP address stands for itself. An IPv4 address in IPv6's form counts as IPv4.
    """
    address = _parsed(text)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address), 64), strict=False))
    return text if address is None else str(address)


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that is reached by this one."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
