"""A server on this machine that answers as a test says, and keeps what it was asked."""

import contextlib
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

from tests.serving import serving


@contextlib.contextmanager
def stand_in(answer):
    """Serve `answer(path, body)`: a dict, or `(status, dict or text, headers)`; yields address and requests seen."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            multipart = self.headers["Content-Type"].startswith("multipart")
            body = raw.decode() if multipart else json.loads(raw)
            self._answer(body)

        def do_GET(self):
            self._answer(None)

        def _answer(self, body):
            path = self.path.removeprefix("/v1/")
            seen.append(SimpleNamespace(path=path, body=body, headers=dict(self.headers)))
            made = answer(path, body)
            status, content, headers = made if isinstance(made, tuple) else (200, made, {})
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/v1", seen=seen)


NOT_FOUND = (404, {"error": {"message": "no such path"}}, {})


def text_of(body):
    """The last sentence of a prompt, of completions or of chat."""
    return body["prompt"].rsplit("\n", 1)[-1] if "prompt" in body else body["messages"][-1]["content"]


def completion(text, tokens=None, n=1, finish="stop"):
    """An answer of completions; `tokens` as `(token, {token: probability})`."""
    from math import log

    logprobs = None
    if tokens:
        listed = [{token: log(p) for token, p in others.items()} for _, others in tokens]
        names = [token for token, _ in tokens]
        own = [top[name] for name, top in zip(names, listed, strict=True)]
        logprobs = {"tokens": names, "token_logprobs": own, "top_logprobs": listed}
    choice = {"text": text, "finish_reason": finish, "logprobs": logprobs}
    return {"choices": [choice | {"index": i} for i in range(n)], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}


def message(text, tokens=None, n=1, finish="stop"):
    """An answer of chat, likewise."""
    from math import log

    content = [
        {
            "token": token,
            "logprob": log(others[token]),
            "top_logprobs": [{"token": other, "logprob": log(p)} for other, p in others.items()],
        }
        for token, others in tokens or []
    ]
    logprobs = {"content": content} if tokens else None
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish, "logprobs": logprobs}
    return {"choices": [choice | {"index": i} for i in range(n)]}


def slow(answer, seconds):
    """The answer after a while."""
    time.sleep(seconds)
    return answer
