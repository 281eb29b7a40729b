"""Options of the backend `api`, checked before anything is asked."""

from __future__ import annotations

import dataclasses
import os
import urllib.parse
from dataclasses import dataclass
from typing import Any

from matgen.errors import CheckpointError, OptionError, unknown_name

KEY_VARIABLE = "OPENAI_API_KEY"
BASE_URL_VARIABLE = "OPENAI_BASE_URL"
ENDPOINTS = ("completions", "chat")
_AT_LEAST = {
    "examples": 0, "context": 64, "draws": 1, "concurrency": 1, "retries": 0, "max_requests": 0,
}  # fmt: skip


@dataclass(frozen=True)
class ServedOptions:
    """What is asked, where and how.

    Attributes:
        model: its name on the server.
        base_url: of the server, such as `http://localhost:8000/v1`; by default what OPENAI_BASE_URL says.
        key_variable: variable of the environment that holds the key. The key itself is never written.
        endpoint: `completions` or `chat`; None takes completions where the server has them.
        examples: labeled rows in a prompt, as many as its context holds; `retrieval` of the estimator goes first.
        context: tokens of a prompt with its answer; None asks the server, which may not tell (then 2,048).
        draws: answers that are drawn of each row where the server gives no log-probabilities, and for numbers.
        calibrate: divide probabilities of labels by those after a prompt without content.
        tune: fine-tune the model on the training rows first, by a job of the server.
        concurrency: requests under way at once.
        retries: of a request that was not answered.
        timeout: seconds that an answer may take.
        max_requests: of one prediction; more are refused before the first one is sent. Cached ones do not count.
        cache: keep answers on disk, so that nothing is asked twice.

    Raises:
        OptionError: one is out of its range, or the address holds more than an address.
    """

    model: str | None = None
    base_url: str | None = None
    key_variable: str = KEY_VARIABLE
    endpoint: str | None = None
    examples: int = 16
    context: int | None = None
    draws: int = 8
    calibrate: bool = True
    tune: bool = False
    concurrency: int = 8
    retries: int = 5
    timeout: float = 120.0
    max_requests: int = 2_000
    cache: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", (self.base_url or os.environ.get(BASE_URL_VARIABLE, "")).rstrip("/"))
        if self.base_url:
            _check_address(self.base_url)
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise OptionError(f"{name} is {value!r}, it must be a whole number of {least} or more")
        if not self.timeout > 0:
            raise OptionError(f"timeout is {self.timeout}, it must be above 0")
        if self.endpoint is not None and self.endpoint not in ENDPOINTS:
            raise unknown_name("endpoint", self.endpoint, ENDPOINTS)

    @classmethod
    def names(cls) -> list[str]:
        """Names of the options."""
        return [field.name for field in dataclasses.fields(cls)]

    @property
    def address(self) -> str:
        """The address of the server, without a slash at its end."""
        return self.base_url or ""

    def require_server(self) -> None:
        """Raise an `OptionError` unless server and model are named."""
        if not self.base_url:
            raise OptionError("the backend api needs a server: give --base-url http://localhost:8000/v1, say")
        if not self.model:
            raise OptionError("the backend api needs a model: give its name on the server (--base-model)")

    def key(self) -> str:
        """The key of the server, out of the environment; empty where the server needs none.

        Raises:
            OptionError: a variable was named, and it is not set.
        """
        value = os.environ.get(self.key_variable, "").strip()
        if not value and self.key_variable != KEY_VARIABLE:
            raise OptionError(f"{self.key_variable}, which is to hold the key of {self.address}, is not set")
        return value

    def as_json(self) -> dict[str, Any]:
        """The options as JSON takes them; the key is none of them."""
        return dataclasses.asdict(self)


def require_trust(options: ServedOptions) -> None:
    """Refuse to send a key to an address that only a file names.

    A model folder of somebody else could name any server and any variable of the environment. The key goes to this
    machine, to OpenAI, and to the address that the user has in OPENAI_BASE_URL.

    Raises:
        CheckpointError: the key would go elsewhere.
    """
    parts = urllib.parse.urlsplit(options.address)
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    openai = parts.scheme == "https" and parts.hostname == "api.openai.com" and options.key_variable == KEY_VARIABLE
    said = os.environ.get(BASE_URL_VARIABLE, "").rstrip("/") == options.address
    if os.environ.get(options.key_variable, "") and not (here or openai or said):
        raise CheckpointError(
            f"the model folder would send the key in {options.key_variable} to {options.address}: "
            f"where that is meant, set {BASE_URL_VARIABLE}={options.address}"
        )


def _check_address(address: str) -> None:
    try:
        parts = urllib.parse.urlsplit(address)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        parts.port  # noqa: B018  raises where it is no number
    except ValueError as error:
        raise OptionError(f"base_url is no address: {error}") from error
    if not plain:
        raise OptionError(
            "base_url holds a name, password or query, which would be written into the model's folder: "
            "give the address alone, and the key by the environment"
        )
    if not whole:
        raise OptionError(
            f"base_url {address!r}: give the address with http:// or https://, such as http://host:8000/v1"
        )
