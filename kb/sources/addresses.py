"""Where an address lies: in the public web, or on this machine and its network."""

from __future__ import annotations

from urllib.parse import urlsplit

from kb.problem import KbError


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
    import ipaddress
    import socket

    host = host_of(url).rstrip(".").lower()
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa")):
        return True
    numbers: set[str] = set()
    try:
        numbers.add(str(ipaddress.ip_address(host)))
    except ValueError:
        try:
            numbers.add(socket.inet_ntoa(socket.inet_aton(host)))  # 2130706433 and 0x7f.1 are addresses too
        except (OSError, ValueError):
            numbers |= _resolved(host) if resolve and not _proxied(url) else set()
    found = [ipaddress.ip_address(number.partition("%")[0]) for number in numbers]
    plain = [getattr(address, "ipv4_mapped", None) or address for address in found]
    return any(not address.is_global or address.is_multicast for address in plain)


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
