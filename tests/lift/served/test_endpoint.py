"""Requests that fail: tried again where that may help, and told in one line."""

import email.utils

import pytest

from matgen.errors import DataError, OptionError
from matgen.lift.served.endpoint import Endpoint
from matgen.lift.served.options import ServedOptions
from tests.lift.served.stand_in import slow, stand_in


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def endpoint(server, waits, **options):
    return Endpoint(ServedOptions(model="m", base_url=server.url, **options), waits.append)


def test_rate_limits_are_waited_for_as_long_as_the_server_says():
    then = email.utils.format_datetime(email.utils.localtime().__class__.now().astimezone().replace(year=2099))
    answers = iter([
        (429, {"error": {"message": "slow down"}}, {"Retry-After": "7"}),
        (429, {}, {"Retry-After": then}),
        (503, "busy", {}),
        {"ok": 1},
    ])  # fmt: skip
    waits = []
    with stand_in(lambda path, body: next(answers)) as server:
        assert endpoint(server, waits).post("x", {}) == {"ok": 1}
    assert waits[:2] == [7.0, 60.0] and 1.5 <= waits[2] <= 2.5  # a minute at most, then 0.5 s x 2^2 about


@pytest.mark.parametrize(
    ("answer", "attempts", "message"),
    [
        ((500, {"error": {"message": "broken\nbadly"}}, {}), 3, "answers HTTP 500: broken badly"),
        ((429, {"error": {"message": "quota"}}, {}), 3, "allows no more requests for now \\(HTTP 429\\): quota"),
        ((200, "<html>", {}), 3, "answers no JSON object"),
        ((200, "[1]", {}), 3, "answers no JSON object"),
        ((400, {"message": "too long"}, {}), 1, "answers HTTP 400: too long"),
        ((404, {"detail": "Not Found"}, {}), 1, "answers HTTP 404: Not Found"),
        ((418, "", {}), 1, "answers HTTP 418: I'm a Teapot|no reason"),
        ((401, {"error": "who?"}, {}), 1, "refuses requests without a key \\(HTTP 401\\): set OPENAI_API_KEY"),
        ((301, "", {"Location": "http://127.0.0.1:1/"}), 1, "points elsewhere"),
    ],
)
def test_failures_are_one_line(answer, attempts, message):
    with stand_in(lambda path, body: answer) as server:
        with pytest.raises(DataError, match=message) as caught:
            endpoint(server, [], retries=2).post("x", {})
        assert len(server.seen) == attempts
    assert "\n" not in str(caught.value)


def test_a_slow_answer_and_a_closed_port_are_told():
    late = pytest.raises(DataError, match="did not answer within 0.1 s: raise timeout")
    with stand_in(lambda path, body: slow({}, 0.5)) as server, late:
        endpoint(server, [], retries=0, timeout=0.1).post("x", {})
    with pytest.raises(DataError, match="no server can be reached at http://127.0.0.1"):
        endpoint(server, [], retries=0).post("x", {})


def test_the_key_is_sent_and_never_shown(monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret-value-1")
    with stand_in(lambda path, body: (403, {"error": {"message": "bad key secret-value-1"}}, {})) as server:
        with pytest.raises(DataError, match="refuses the key in MY_KEY \\(HTTP 403\\)") as caught:
            endpoint(server, [], key_variable="MY_KEY").post("x", {})
        assert server.seen[0].headers["Authorization"] == "Bearer secret-value-1"
    assert "secret" not in str(caught.value) + caught.value.says
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(OptionError, match="MY_KEY, which is to hold the key"):
        endpoint(server, [], key_variable="MY_KEY")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "http://me:word@host/v1"}, "holds a name, password or query"),
        ({"base_url": "http://host/v1?api-key=abc"}, "holds a name, password or query"),
        ({"base_url": "localhost:8000"}, "http:// or https://"),
        ({"base_url": "http://host:port/v1"}, "no address"),
        ({"draws": 0}, "draws is 0"),
        ({"concurrency": 1.5}, "concurrency is 1.5"),
        ({"endpoint": "chats"}, "did you mean chat"),
        ({"timeout": 0}, "timeout is 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(OptionError, match=message) as caught:
        ServedOptions(**({"model": "m", "base_url": "http://host/v1"} | options))
    assert "word" not in str(caught.value).replace("password", "") and "abc" not in str(caught.value)


def test_the_address_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://host:1/v1/")
    assert ServedOptions(model="m").address == "http://host:1/v1"
