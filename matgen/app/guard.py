"""Who may ask the app: the page that it served itself, to a visitor who was given its address.

A page of another site can make a visitor's browser send requests to any address, this machine's among them; by a name
that it lets resolve to that address (DNS rebinding) it can even read the answers. So the name that was asked for
(`Host`), the page that asks (`Origin`) and what the browser says of both (`Sec-Fetch-Site`) must be the app's own, on
web sockets too. Where others reach the port, a visitor must also know the token of the printed address.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = "token"
"""Field of the address that holds the token."""

_SAFE = ("GET", "HEAD")
_HEADERS = {
    "content-security-policy": "frame-ancestors 'none'",  # no page of others has it in a frame
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
# Not a redirect: of one that began on another site (a link in a mail) browsers keep a strict cookie back.
_ENTER = '<!doctype html><title>matgen</title><meta http-equiv="refresh" content="0; url={0}"><a href="{0}">matgen</a>'


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """What a visitor must show.

    Attributes:
        host: the address that is listened at.
        port: the port.
        token: that visitors must know; "" where no other machine reaches the address.
    """

    host: str
    port: int
    token: str

    @classmethod
    def at(cls, host: str, port: int) -> Access:
        """With a new token where other machines reach the address."""
        return cls(host, port, "" if is_loopback(host) else secrets.token_urlsafe(32))

    @property
    def path(self) -> str:
        """Of the first page that a visitor opens."""
        return f"/?{TOKEN}={self.token}" if self.token else "/"

    @property
    def addresses(self) -> list[str]:
        """What to open, with the token; of all addresses of this machine, by its name and for itself."""
        hosts = [socket.gethostname(), "127.0.0.1"] if self._is_any else [self.host]
        end = f":{self.port}{self.path if self.token else ''}"
        return [f"http://{f'[{host}]' if ':' in host else host}{end}" for host in hosts]

    @property
    def cookie(self) -> str:
        """Name of the cookie; browsers do not tell ports apart by themselves."""
        return f"matgen-{self.port}"

    def refusal(self, scope: Scope) -> str:
        """Why a request is not answered, "" where it is."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        named = [value for name, value in scope["headers"] if name.lower() == b"host"]
        if len(named) != 1 or not self._is_own_name(headers["host"]):
            return "this is not the name of the app: open the address that matgen app printed"
        is_socket = scope["type"] == "websocket"
        origin = headers.get("origin")
        if origin is None and (is_socket or scope["method"] not in _SAFE):
            return "a request that acts needs an Origin"
        if origin is not None and origin.lower() not in _origins(headers["host"]):
            return "requests of other pages are not answered"
        if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site") and not _opens_the_page(scope, headers):
            return "requests of other sites are not answered"
        if self.token and not (self._knows(_cookies(headers).get(self.cookie, "")) or self.enters(scope)):
            return "open the address with the token that matgen app printed"
        return ""

    def enters(self, scope: Scope) -> bool:
        """Whether a request opens the page by the token in its address."""
        if not self.token or scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            return False
        return self._knows(parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN, [""])[0])

    def _knows(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    @property
    def _is_any(self) -> bool:
        return self.host in ("", "0.0.0.0", "::")

    def _is_own_name(self, header: str) -> bool:
        """Whether a `Host` names the app; the port may be that of a tunnel."""
        try:
            parts = urlsplit(f"//{header}")
            name, _ = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return False
        if "@" in header or parts.netloc != header:
            return False
        if is_loopback(self.host):
            return is_loopback(name)
        if not self._is_any:
            return name == self.host.lower()
        return is_loopback(name) or _is_number(name) or name in {socket.gethostname().lower(), socket.getfqdn().lower()}


def _origins(host: str) -> tuple[str, str]:
    """Of pages of the app; the second behind a server that speaks TLS for it."""
    return f"http://{host.lower()}", f"https://{host.lower()}"


def _is_number(name: str) -> bool:
    """Whether a name is an address, which no name server can turn into another."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _opens_the_page(scope: Scope, headers: dict[str, str]) -> bool:
    """Whether somebody follows a link to the app: the page is opened for them, and whoever linked does not see it."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _without_token(scope: Scope) -> str:
    """The address of the page that a visitor enters: conditions in it stay."""
    fields = [one for one in parse_qsl(scope["query_string"].decode("latin-1")) if one[0] != TOKEN]
    return f"/?{urlencode(fields)}" if fields else "/"


def _cookies(headers: dict[str, str]) -> dict[str, str]:
    try:
        return {name: one.value for name, one in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


class Guard:
    """Middleware that answers only what `Access` lets through."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or hand a visitor who knows the token a cookie."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        reason = self.access.refusal(scope)
        if reason:
            await _refuse(scope, send, reason)
        elif self.access.enters(scope):
            cookie = f"{self.access.cookie}={self.access.token}; Path=/; HttpOnly; SameSite=Strict"
            page = _ENTER.format(escape(_without_token(scope)))
            await _answer(send, 200, page, {"set-cookie": cookie, "cache-control": "no-store"}, "text/html")
        else:
            await self.app(scope, receive, _with_headers(send))


async def _refuse(scope: Scope, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})  # before it is accepted: status 403
    else:
        await _answer(send, 403, f"{reason}\n", {}, "text/plain")


async def _answer(send: Send, status: int, text: str, headers: dict[str, str], kind: str) -> None:
    body = text.encode()
    fields = {"content-type": f"{kind}; charset=utf-8", "content-length": str(len(body)), **_HEADERS, **headers}
    await send({"type": "http.response.start", "status": status, "headers": _raw(fields)})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *_raw(_HEADERS)]}
        await send(message)

    return sent


def _raw(fields: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
