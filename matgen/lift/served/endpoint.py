"""A server over HTTP: requests with retries and back-off, and what went wrong in one line."""

from __future__ import annotations

import datetime
import email.utils
import random
import time
import weakref
from collections.abc import Callable
from typing import Any

from matgen.errors import DataError, MissingDependencyError, OptionError, first_line
from matgen.lift.served.options import KEY_VARIABLE, ServedOptions

_TRANSIENT = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Statuses after which the same request may be answered a little later."""
_LONGEST_WAIT = 60.0
"""Seconds between two attempts at most."""


class RefusedError(DataError):
    """A server that answered, and did not do what was asked.

    Attributes:
        status: of HTTP.
        says: the server's own words, one line.
    """

    def __init__(self, message: str, status: int, says: str) -> None:
        super().__init__(message)
        self.status, self.says = status, says


class Endpoint:
    """The server that options name.

    Args:
        options: address, key, timeout and number of retries.
        sleep: waits so many seconds; for tests.

    Raises:
        MissingDependencyError: httpx2 is not installed.
        OptionError: the key's variable is named and not set.
    """

    def __init__(self, options: ServedOptions, sleep: Callable[[float], None] = time.sleep) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise MissingDependencyError(
                "httpx2, which talks to servers, is not installed: pip install 'matgen[api]'"
            ) from error
        self.options, self._sleep, self._http = options, sleep, httpx2
        self._key = options.key()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        # A redirect would carry the key to another address; it is told as what it is.
        self._client = httpx2.Client(headers=headers, timeout=options.timeout, follow_redirects=False)
        weakref.finalize(self, self._client.close)

    def post(self, path: str, body: dict[str, Any] | None = None, *, retries: int | None = None, **more: Any) -> Any:
        """The answer to a body in JSON (or to `files` and `data`, as httpx takes them).

        Raises:
            RefusedError: the server refuses, or still fails after the last retry.
            DataError: it cannot be reached, does not answer in time, or answers no JSON.
        """
        content = {"json": body} if body is not None else more
        return self._asked("POST", path, retries, **content)

    def get(self, path: str) -> Any:
        """What the server has at a path; raises as `post`."""
        return self._asked("GET", path, None)

    def _asked(self, method: str, path: str, retries: int | None, **content: Any) -> Any:
        retries = self.options.retries if retries is None else retries
        for attempt in range(retries + 1):
            failure, wait = self._attempt(method, path, content)
            if failure is None:
                return wait
            if wait is None or attempt == retries:
                raise failure
            self._sleep(min(_LONGEST_WAIT, wait or 0.5 * 2**attempt * random.uniform(0.75, 1.25)))
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, method: str, path: str, content: dict[str, Any]) -> tuple[DataError | None, Any]:
        """Try once.

        Returns:
            None and the answer; or what went wrong, and the seconds to wait before the next attempt: 0 where the server
            does not say, None where there is to be none.
        """
        address = self.options.address
        try:
            response = self._client.request(method, f"{address}/{path}", **content)
        except self._http.TimeoutException:
            return DataError(
                f"{address} did not answer within {self.options.timeout:g} s: raise timeout, or lower concurrency"
            ), 0.0
        except self._http.ConnectError as error:
            return DataError(f"no server can be reached at {address}: {self._clean(first_line(error))}"), 0.0
        except (self._http.HTTPError, self._http.InvalidURL) as error:
            return DataError(f"{address} broke off: {self._clean(first_line(error))}"), 0.0
        if response.status_code in _TRANSIENT:
            return self._refusal(response), _retry_after(response.headers.get("retry-after", ""))
        if not response.is_success:
            return self._refusal(response), None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            return DataError(f"{address}/{path} answers no JSON object: is it an OpenAI-compatible server?"), 0.0
        return None, answer

    def _refusal(self, response: Any) -> DataError:
        status, says = response.status_code, self._clean(_words(response))
        if status in (401, 403):
            held = f"the key in {self.options.key_variable}" if self._key else "requests without a key"
            advice = "" if self._key else f": set {KEY_VARIABLE}, or key_variable=NAME"
            message = f"{self.options.address} refuses {held} (HTTP {status}){advice}"
        elif status == 429:
            message = f"{self.options.address} allows no more requests for now (HTTP 429): {says}; lower concurrency"
        elif response.is_redirect:
            message = f"{self.options.address} points elsewhere (HTTP {status}): give its address as base_url"
        else:
            message = f"{self.options.address} answers HTTP {status}: {says}"
        return RefusedError(message, status, says)

    def _clean(self, text: str) -> str:
        return text.replace(self._key, f"({self.options.key_variable})") if self._key else text


def _words(response: Any) -> str:
    """What a server says is wrong, one line of at most 200 characters."""
    try:
        content = response.json()
    except ValueError:
        content = response.text
    for key in ("error", "message", "detail"):
        if isinstance(content, dict) and content.get(key):
            content = content[key]
    return first_line(OptionError(" ".join(str(content).split()) or response.reason_phrase or "no reason is given"))


def _retry_after(text: str) -> float:
    """Seconds that a header Retry-After asks for, given as such or as a date; 0 where it cannot be read."""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        then = email.utils.parsedate_to_datetime(text)
        return max(0.0, (then - datetime.datetime.now(then.tzinfo or datetime.UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
