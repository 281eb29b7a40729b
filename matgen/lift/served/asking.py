"""Many requests at once: counted and limited before the first is sent, and none sent that was answered before."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from matgen.errors import OptionError
from matgen.lift.served.answers import choices_of
from matgen.lift.served.cache import AnswerCache, key_of
from matgen.lift.served.endpoint import Endpoint
from matgen.runtime.progress import ProgressFactory, silent

log = logging.getLogger("matgen.lift.served")
"""Tells what is about to be asked and what was used (level INFO)."""


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        path: below the server's address.
        body: as JSON.
        tokens: of its prompt, about.
        draw: which of several draws of the same body it is, so that each is kept.
    """

    path: str
    body: dict[str, Any]
    tokens: int
    draw: int = 0


@dataclass(frozen=True)
class Tally:
    """What is about to be asked.

    Attributes:
        requests: to be sent.
        cached: that were answered before.
        prompt_tokens: of the prompts to be sent, about.
        answer_tokens: of their answers, at most.
    """

    requests: int
    cached: int
    prompt_tokens: int
    answer_tokens: int

    def __str__(self) -> str:
        cached = f" ({self.cached:,} more are in the cache)" if self.cached else ""
        return (
            f"{self.requests:,} requests{cached}, about {self.prompt_tokens:,} tokens of prompts and at most "
            f"{self.answer_tokens:,} of answers"
        )


class Asker:
    """Asks a server, by its options.

    Args:
        server: that is asked.
        cache: of its answers.
        progress: counts the requests.
    """

    def __init__(self, server: Endpoint, cache: AnswerCache, progress: ProgressFactory = silent) -> None:
        self.server, self.cache, self.progress = server, cache, progress
        self.used = [0, 0]
        """Tokens of prompts and of answers so far, as the server counts them."""

    def key(self, request: Request) -> str:
        """The key that the answer is kept under."""
        body = request.body | ({"draw": request.draw} if request.draw else {})
        return key_of(self.server.options.address, request.path, body)

    def ask(self, requests: Sequence[Request]) -> list[Any]:
        """Answers in the order of the requests; equal ones are sent once.

        Raises:
            OptionError: they are more than `max_requests`.
            DataError: one fails for good. What was answered until then is in the cache.
        """
        keys = [self.key(request) for request in requests]
        answers = {key: answer for key in dict.fromkeys(keys) if (answer := self.cache.get(key)) is not None}
        to_send = {key: request for key, request in zip(keys, requests, strict=True) if key not in answers}
        if to_send:
            self._announce(to_send, len(answers))
            answers |= self._sent(to_send, len(answers))
            log.info("the server counts %s tokens of prompts and %s of answers so far", *(f"{n:,}" for n in self.used))
        return [answers[key] for key in keys]

    def tally(self, requests: dict[str, Request], cached: int = 0) -> Tally:
        """What so many requests take."""
        each = requests.values()
        longest = sum(int(r.body.get("max_tokens", 0)) * int(r.body.get("n", 1)) for r in each)
        return Tally(len(requests), cached, sum(r.tokens for r in each), longest)

    def _announce(self, requests: dict[str, Request], cached: int) -> None:
        options, tally = self.server.options, self.tally(requests, cached)
        if tally.requests > options.max_requests:
            raise OptionError(
                f"this takes {tally}; max_requests is {options.max_requests:,}: raise it (--options "
                f"max_requests={tally.requests}), or give fewer rows"
            )
        log.info("asking %s at %s: %s", options.model, options.address, tally)

    def _sent(self, requests: dict[str, Request], cached: int) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        total = len(requests) + cached
        pool = ThreadPoolExecutor(self.server.options.concurrency)
        futures: dict[Future[Any], str] = {}
        try:
            with self.progress(total, "ask", "requests", done=cached) as count:
                futures = {pool.submit(self._answered, key, request): key for key, request in requests.items()}
                open_ones = set(futures)
                while open_ones:
                    done, open_ones = wait(open_ones, timeout=0.5, return_when=FIRST_EXCEPTION)
                    for future in done:
                        answers[futures[future]] = self._counted(future.result())
                    count.update(len(done))
        finally:  # after a failure nothing more is sent
            pool.shutdown(wait=True, cancel_futures=True)
        return answers

    def _answered(self, key: str, request: Request) -> Any:
        answer = self.server.post(request.path, request.body)
        choices_of(answer)  # what cannot be read is not kept
        self.cache.put(key, answer)
        return answer

    def _counted(self, answer: Any) -> Any:
        usage = answer.get("usage")
        for i, name in enumerate(("prompt_tokens", "completion_tokens")):
            if isinstance(usage, dict) and isinstance(usage.get(name), int):
                self.used[i] += usage[name]
        return answer
