"""Where an address lies: in the public web, in the network around this machine, or on this machine."""

from __future__ import annotations

from urllib.parse import urlsplit

from kb.problem import KbError

PUBLIC, NETWORK, MACHINE = range(3)
WHERE = ("into the web", "into a private network", "to this machine")
_NAT64 = "64:ff9b::/96"
_LOCAL = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def host_of(url: str) -> str:
    """The host of a URL; of what is none, all of it."""
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def stay_outside(start: str, url: str) -> None:
    """A page of the public web may not send us to this machine or its network: what is read there would be put into
    a note as if it stood in the page."""
    if not is_private(start) and is_private(url):
        raise KbError(f"{host_of(start)} redirects into a private network ({host_of(url)}); check the address")


def is_private(url: str, resolve: bool = True) -> bool:
    """True for an address of this machine or of a network that only it sees; names are looked up if `resolve`."""
    host = host_of(url).rstrip(".").lower()
    if host == "localhost" or host.endswith(_LOCAL):
        return True
    numbers = _numbers(host) or (_resolved(host) if resolve and not _proxied(url) else set())
    return any(scope_of(number) for number in numbers)


def allowed(url: str, resolve: bool = True) -> int:
    """How far inside a request may lead that a person asked for by this URL. A number, `localhost` or a name without a
    dot may mean this machine; a name of the web may be one of an organization's own network (without `resolve` any
    may), and never this machine."""
    host = host_of(url).rstrip(".").lower()
    if host == "localhost" or host.endswith(_LOCAL) or "." not in host or _numbers(host):
        return MACHINE if ("." not in host and ":" not in host) or is_private(url, resolve=False) else PUBLIC
    return NETWORK if not resolve or is_private(url) else PUBLIC


def scope_of(number: str) -> int:
    """Where an IP address lies: PUBLIC, NETWORK or MACHINE."""
    import ipaddress

    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):  # some of which only carry one of IPv4
        carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in ipaddress.ip_network(_NAT64) else None
        address = address.ipv4_mapped or address.sixtofour or carried or address
    if address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast:
        return MACHINE  # 169.254.169.254 is where clouds tell a machine its secrets
    local = address.is_reserved or getattr(address, "is_site_local", False)
    return PUBLIC if address.is_global and not local else NETWORK


def _numbers(host: str) -> set[str]:
    """The IP address that a host is, however it is written; nothing for a name."""
    import ipaddress
    import socket

    try:
        return {str(ipaddress.ip_address(host))}
    except ValueError:
        try:
            return {socket.inet_ntoa(socket.inet_aton(host))}  # 2130706433 and 0x7f.1 are addresses too
        except (OSError, ValueError):
            return set()


def _resolved(host: str) -> set[str]:
    import socket

    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()  # the request itself will say so


def _proxied(url: str) -> bool:
    """True where a proxy looks the name up: it is not for us to say what it finds."""
    from urllib.request import getproxies, proxy_bypass

    found = getproxies()
    return bool(found.get(urlsplit(url).scheme) or found.get("all")) and not proxy_bypass(host_of(url))
