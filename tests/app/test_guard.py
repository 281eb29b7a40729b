"""Who is answered by the app: unit by unit, and by a served app over HTTP and web sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from matgen.app.guard import Access

LOCAL = Access("127.0.0.1", 8080, "")
SHARED = Access("0.0.0.0", 8080, "secret")


def scope(host: str = "127.0.0.1:8080", *, kind: str = "http", method: str = "GET", path: str = "/", query: str = "",
          **headers: str) -> dict[str, Any]:  # fmt: skip
    raw = [(b"host", host.encode())]
    raw += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": kind, "method": method, "path": path, "query_string": query.encode(), "headers": raw}


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080", "localhost:9000"])
def test_names_of_this_machine_are_answered(host):
    assert LOCAL.refusal(scope(host)) == ""
    assert LOCAL.refusal(scope(host, kind="websocket", origin=f"http://{host}")) == ""


@pytest.mark.parametrize(
    "host",
    ["rebound.example:8080", "127.0.0.1.example", "localhost.example:8080", "10.0.0.7:8080", "localhost@evil.example",
     "localhost/evil", "evil.example#localhost", "", "localhost:80x80", "[::1"],
)  # fmt: skip
def test_other_names_are_refused(host):
    assert "not the name of the app" in LOCAL.refusal(scope(host))


def test_two_names_are_refused():
    twice = scope()
    twice["headers"].append((b"host", b"localhost:8080"))
    assert "not the name of the app" in LOCAL.refusal(twice)
    twice["headers"] = []
    assert "not the name of the app" in LOCAL.refusal(twice)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:3000", "http://127.0.0.1", "null", "", "http://[broken"]
)
def test_other_origins_are_refused(kind, origin):
    assert "other pages" in LOCAL.refusal(scope(kind=kind, origin=origin))


def test_what_acts_needs_an_origin():
    assert "needs an Origin" in LOCAL.refusal(scope(kind="websocket"))
    assert "needs an Origin" in LOCAL.refusal(scope(method="POST"))
    assert LOCAL.refusal(scope(method="POST", origin="http://127.0.0.1:8080")) == ""


def test_of_other_sites_only_a_link_is_answered():
    for site in ("cross-site", "same-site"):
        link = scope(sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document")
        assert LOCAL.refusal(link) == ""
        for mode, dest in (("navigate", "iframe"), ("no-cors", "script"), ("cors", "empty")):
            request = scope(sec_fetch_site=site, sec_fetch_mode=mode, sec_fetch_dest=dest)
            assert "other sites" in LOCAL.refusal(request)
        posted = scope(method="POST", origin="http://127.0.0.1:8080", sec_fetch_site=site, sec_fetch_mode="navigate",
                       sec_fetch_dest="document")  # fmt: skip
        assert "other sites" in LOCAL.refusal(posted)
    assert LOCAL.refusal(scope(sec_fetch_site="same-origin", sec_fetch_mode="cors")) == ""


def test_a_token_is_asked_for_where_others_reach_the_port():
    assert "token" in SHARED.refusal(scope())
    assert "token" in SHARED.refusal(scope(cookie="matgen-8080=guess"))
    assert "token" in SHARED.refusal(scope(cookie="matgen-8081=secret"))
    assert "token" in SHARED.refusal(scope(query="token=guess"))
    assert "token" in SHARED.refusal(scope(query="token=%C3%A9"))
    assert "token" in SHARED.refusal(scope(path="/_nicegui", query="token=secret"))
    assert SHARED.refusal(scope(query="token=secret")) == ""
    assert SHARED.refusal(scope(cookie="other=1; matgen-8080=secret")) == ""
    assert SHARED.refusal(scope("10.0.0.7:8080", cookie="matgen-8080=secret")) == ""
    assert "not the name" in SHARED.refusal(scope("evil.example:8080", cookie="matgen-8080=secret"))
    joining = scope(kind="websocket", origin="http://127.0.0.1:8080")
    assert "token" in SHARED.refusal(joining)
    joining["headers"].append((b"cookie", b"matgen-8080=secret"))
    assert SHARED.refusal(joining) == ""


def test_tokens_are_new_and_loopback_has_none():
    assert Access.at("127.0.0.1", 80).token == Access.at("localhost", 80).token == Access.at("::1", 80).token == ""
    assert Access.at("::1", 8080).addresses == ["http://[::1]:8080"]
    one, other = Access.at("0.0.0.0", 80), Access.at("0.0.0.0", 80)
    assert one.token != other.token
    assert len(one.token) > 40
    assert one.addresses == [f"http://{host}:80/?token={one.token}" for host in (socket.gethostname(), "127.0.0.1")]
    assert Access("lab.example", 80, "x").refusal(scope("lab.example", cookie="matgen-80=x")) == ""
    assert "not the name" in Access("lab.example", 80, "x").refusal(scope("10.0.0.7", cookie="matgen-80=x"))


# -- a served app -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["127.0.0.1", "0.0.0.0"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, str]]:
    """Address by loopback, cookie that is needed there, and the address as it was printed."""
    pytest.importorskip("nicegui", reason="nicegui is not installed (extra app)")
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    words = ["app", "--host", request.param, "--port", str(port), "--no-browser"]
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "NICEGUI_"))}
    command = [sys.executable, "-m", "matgen", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=outer) as server:
        assert server.stdout is not None
        printed = server.stdout.readline().strip()
        token = printed.partition("?token=")[2]
        yield f"127.0.0.1:{port}", f"matgen-{port}={token}" if token else "", printed
        server.terminate()


def status(at: str, path: str = "/", method: str = "GET", **headers: str) -> int:
    import httpx

    given = {name.replace("_", "-"): value for name, value in headers.items() if value}
    return httpx.request(method, f"http://{at}{path}", headers=given, timeout=60, trust_env=False).status_code


SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport="


def joins(at: str, origin: str | None, cookie: str, host: str = "") -> bool:
    """Whether a web socket is opened and socket.io answers on it."""
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    headers = {"cookie": cookie} if cookie else {}
    address = f"ws://{host or at}{SOCKET}websocket"
    try:
        with (
            socket.create_connection(tuple(at.split(":"))) as way,
            connect(address, sock=way, origin=origin, additional_headers=headers, proxy=None) as opened,
        ):
            return str(opened.recv(timeout=60)).startswith('0{"sid"')
    except InvalidStatus as refused:
        assert refused.response.status_code == 403
        return False


@pytest.mark.slow
def test_the_app_answers_its_own_page(served):
    at, cookie, printed = served
    assert status(at, cookie=cookie) == 200
    assert status(at, f"{SOCKET}polling", origin=f"http://{at}", cookie=cookie) == 200
    assert joins(at, f"http://{at}", cookie)
    assert bool(cookie) == ("token=" in printed)


@pytest.mark.slow
def test_the_app_answers_nobody_else(served):
    import httpx

    at, cookie, _ = served
    port = at.partition(":")[2]
    evil = f"http://evil.example:{port}"
    for path in ("/", f"{SOCKET}polling"):
        # a name of others that resolves to this machine, as in DNS rebinding; the browser calls it the same origin
        assert status(at, path, host=f"evil.example:{port}", origin=evil, cookie=cookie) == 403
        assert status(at, path, host=f"evil.example:{port}", cookie=cookie) == 403
        assert status(at, path, origin=evil, cookie=cookie) == 403
        assert status(at, path, sec_fetch_site="cross-site", sec_fetch_mode="no-cors", cookie=cookie) == 403
    assert status(at, f"{SOCKET}polling", method="POST", cookie=cookie) == 403
    assert not joins(at, evil, cookie)
    assert not joins(at, None, cookie)
    assert not joins(at, evil, cookie, host=f"evil.example:{port}")
    assert not joins(at, "http://localhost:1", cookie)
    answer = httpx.get(f"http://{at}/", headers={"origin": evil}, timeout=60, trust_env=False)
    assert answer.text.count("\n") == 1
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.slow
def test_the_token_lets_in_once_and_the_cookie_after_it(served):
    import httpx

    at, cookie, printed = served
    if not cookie:
        pytest.skip("on loopback there is no token")
    for path in ("/", "/?token=wrong", "/_nicegui/x.js", f"{SOCKET}polling"):
        assert status(at, path) == 403
    assert not joins(at, f"http://{at}", "")
    assert not joins(at, f"http://{at}", cookie[:-1])
    entered = httpx.get(f"http://{at}/?{printed.partition('?')[2]}", timeout=60, trust_env=False)
    assert entered.status_code == 200
    assert {"HttpOnly", "SameSite=Strict"} <= set(entered.headers["set-cookie"].replace(" ", "").split(";"))
    assert entered.headers["set-cookie"].startswith(cookie)
    assert 'url=/"' in entered.text
    written = f"http://{at}/?n=%3C%22&{printed.partition('?')[2]}&contains=Li-O"
    assert 'url=/?n=%3C%22&amp;contains=Li-O"' in httpx.get(written, timeout=60, trust_env=False).text
    assert joins(at, f"http://{at}", cookie)


@pytest.mark.slow
def test_no_page_of_others_frames_the_app(served):
    import httpx

    at, cookie, _ = served
    headers = httpx.get(f"http://{at}/", headers={"cookie": cookie} if cookie else {}, timeout=60,
                        trust_env=False).headers  # fmt: skip
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
