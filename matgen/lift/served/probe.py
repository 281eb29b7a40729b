"""What a server can do, found out by asking: some ignore `logprobs` or `n` without a word."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from matgen.errors import DataError
from matgen.lift.served.answers import choices_of
from matgen.lift.served.endpoint import Endpoint, RefusedError
from matgen.lift.served.options import ENDPOINTS, ServedOptions

PATHS = {"completions": "completions", "chat": "chat/completions"}
_ABSENT = (404, 405, 410, 501)
"""Statuses of a server without an endpoint."""
_ASKED = ((20, 2), (5, 2), (0, 1))
"""Tokens listed at each place and answers a request, the most first: servers limit either."""
CONTEXT = 2_048
"""Tokens of a prompt with its answer where neither the user nor the server tells."""


@dataclass(frozen=True)
class Abilities:
    """What a server can do with a model.

    Attributes:
        endpoint: `completions` or `chat`.
        listed: most probable tokens that it lists at each place; 0 where it gives no log-probabilities.
        several: it gives several answers to one request.
        context: tokens of a prompt with its answer.
    """

    endpoint: str
    listed: int
    several: bool
    context: int

    def as_json(self) -> dict[str, Any]:
        """The abilities as JSON takes them."""
        return asdict(self)


def request_body(model: str, endpoint: str, prompt: Any, listed: int, **settings: Any) -> dict[str, Any]:
    """The body of a request.

    Args:
        model: its name on the server.
        endpoint: `completions` or `chat`.
        prompt: a text, or messages of a chat.
        listed: most probable tokens to list at each place; 0 asks for none.
        settings: such as `max_tokens`, `temperature`, `n` and `stop`.
    """
    if endpoint == "chat":
        more = {"logprobs": True, "top_logprobs": listed} if listed else {}
        return {"model": model, "messages": prompt, **settings, **more}
    return {"model": model, "prompt": prompt, **settings, **({"logprobs": listed} if listed else {})}


def probe(server: Endpoint, options: ServedOptions) -> Abilities:
    """Find out what a server can do, by up to six requests of one token.

    Raises:
        DataError: it cannot be reached, or refuses.
    """
    context = options.context or _context(server, str(options.model))
    failure: DataError | None = None
    for endpoint in ENDPOINTS if options.endpoint is None else (options.endpoint,):
        try:
            return _probe_endpoint(server, options, endpoint, context)
        except RefusedError as error:
            if error.status not in (*_ABSENT, 400, 422):
                raise
            failure = error
    assert failure is not None
    raise failure


def _probe_endpoint(server: Endpoint, options: ServedOptions, endpoint: str, context: int) -> Abilities:
    prompt: Any = "1, 2, 3," if endpoint == "completions" else [{"role": "user", "content": "1, 2, 3,"}]
    for listed, n in _ASKED:
        # Several greedy answers would be the same one, so some servers refuse them: these are drawn.
        settings = {"max_tokens": 1, "temperature": 1.0} | ({"n": n} if n > 1 else {})
        body = request_body(str(options.model), endpoint, prompt, listed, **settings)
        try:
            choices = choices_of(server.post(PATHS[endpoint], body, retries=min(2, options.retries)))
        except RefusedError as error:
            if error.status not in (400, 422) or (listed, n) == _ASKED[-1]:
                raise
            continue
        given = listed if choices[0].positions and choices[0].positions[0].others else 0
        return Abilities(endpoint, given, n > 1 and len(choices) == n, context)
    raise AssertionError("the last attempt returns or raises")


def _context(server: Endpoint, model: str) -> int:
    """The context of a model as vLLM or llama.cpp tell it, else a common one."""
    try:
        models = server.get("models").get("data") or []
        for content in models:
            told = content.get("max_model_len") or (content.get("meta") or {}).get("n_ctx")
            if content.get("id") == model and told:
                return int(told)
    except RefusedError:
        pass  # servers need not list their models
    except (AttributeError, TypeError, ValueError):
        pass
    return CONTEXT
