"""IP addresses: which are public, which are this machine's, and which belong to one customer.

Pure: no name is resolved.
"""

import ipaddress

from yarl import URL

#: The hosts by which an address in the settings may name this machine.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_address(text: str) -> bool:
    """Whether this is an IP address and not a host name."""
    return _parsed(text) is not None


def is_public(text: str) -> bool:
    """Whether an IP address is a public one. An IPv6 address that wraps an IPv4 address counts as that.

    For deciding whether a peer is a stranger or a proxy, and where a webhook may lead. A host name is not public.
    """
    address = _parsed(text.partition("%")[0])
    if address is None:
        return False
    if isinstance(address, ipaddress.IPv6Address) and (inner := _inner(address)):
        return is_public(str(inner))
    special = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return address.is_global and not special


def is_loopback(text: str) -> bool:
    """Whether only this machine reaches an IP address, or "localhost"."""
    address = _parsed(text)
    return text == "localhost" if address is None else address.is_loopback


def names_loopback(url: URL) -> bool:
    """Whether a URL's host is a name of this machine."""
    return url.host in LOOPBACK


def network(text: str) -> str:
    """The address or network by which a peer is counted. For IPv6 it is the /64, which one customer has.

    An IPv4 address in IPv6 form counts as IPv4. A text that is no IP address is returned as it is.
    """
    address = _parsed(text)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address), 64), strict=False))
    return text if address is None else str(address)


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that this one wraps: NAT64, mapped, 6to4 or Teredo."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
