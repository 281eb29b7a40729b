"""The backend `api` against a stand-in server: prompts, predictions, cache, limits, files."""

import json
import logging
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from matgen.cli import main
from matgen.errors import CheckpointError, DataError, MatgenWarning, OptionError
from matgen.lift import LiftClassifier, LiftRegressor, load, save
from matgen.lift.explain import explain
from matgen.lift.served import tuning
from tests.lift.served.stand_in import NOT_FOUND, completion, message, stand_in, text_of

X = pd.DataFrame({"x": np.linspace(0, 1, 12).round(2), "note": ["low"] * 6 + ["high"] * 6})
Y = pd.Series(["small"] * 6 + ["tall"] * 6, name="size")
Z = pd.Series(np.linspace(10, 20, 12).round(1), name="length")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path / "cache"))


def classifier(server, **options):
    return LiftClassifier("api", model="m", backend_options={"base_url": server.url, "retries": 0} | options)


def regressor(server, **options):
    return LiftRegressor("api", model="m", backend_options={"base_url": server.url, "retries": 0} | options)


def by_logprobs(path, body):
    """Completions with log-probabilities: `tall` where the row says high, and a bias for `small`."""
    if path != "completions":
        return NOT_FOUND
    own = text_of(body)
    tall = 0.45 if "high" in own else 0.1 if "low" in own else 0.2  # the last: no content
    tokens = [("ta", {"ta": tall, "small": 1 - tall})] if tall > 0.5 else [("small", {"small": 1 - tall, "ta": tall})]
    return completion("tall" if tall > 0.5 else "small", tokens if body.get("logprobs") else None, n=body.get("n", 1))


def by_draws(path, body):
    """Chat that ignores `logprobs` and `n`, as some servers do: a label or, of numbers, one by the seed."""
    if path != "chat/completions":
        return NOT_FOUND
    own, system = text_of(body), body["messages"][0]["content"]
    if "number" in system:
        return message(f"{12 + body.get('seed', 0) % 4}.5")
    return message("tall" if "high" in own else "small")


def test_log_probabilities_are_calibrated_by_a_prompt_without_content():
    with stand_in(by_logprobs) as server:
        model = classifier(server).fit(X, Y)
        assert model.backend_.abilities.as_json() == {
            "endpoint": "completions", "listed": 20, "several": True, "context": 2048,
        }  # fmt: skip
        made = model.predict_proba(X.iloc[[0, 11]])
        raw = classifier(server, calibrate=False).fit(X, Y).predict_proba(X.iloc[[0, 11]])
    assert raw == pytest.approx(np.array([[0.9, 0.1], [0.55, 0.45]]), abs=1e-4)  # small, whatever the row says
    expected = np.array([[0.9 / 0.8, 0.1 / 0.2], [0.55 / 0.8, 0.45 / 0.2]])
    assert made == pytest.approx(expected / expected.sum(axis=1, keepdims=True), abs=1e-3)
    assert model.n_parameters_ == 0


def test_prompts_hold_the_nearest_rows_with_their_labels_in_a_fixed_form():
    with stand_in(by_logprobs) as server:
        model = classifier(server, examples=3).fit(X, Y)
        model.predict_proba(X.iloc[[11]])
        prompts = [request.body["prompt"] for request in server.seen if "When" in str(request.body)]
    lines = prompts[0].split("\n")
    assert lines[0] == "Answer with the size alone, one of: small, tall."
    assert [line.partition("###")[2] for line in lines[1:]] == ["tall@@@"] * 3 + [""]
    assert "x=1.00" in lines[3] and "x=1.00" in lines[4]  # the nearest last
    assert "x=missing, note=missing" in prompts[1]
    without_content = [line.partition("###")[2] for line in prompts[1].split("\n")[1:-1]]
    assert sorted(without_content) in (["small@@@", "small@@@", "tall@@@"], ["small@@@", "tall@@@", "tall@@@"])


def test_examples_are_left_out_that_the_context_does_not_hold():
    with stand_in(by_logprobs) as server:
        model = classifier(server, context=150).fit(X, Y)
        model.predict_proba(X.iloc[[0]])
        assert 2 < server.seen[-2].body["prompt"].count("@@@") < 12
        with pytest.raises(OptionError, match="a row takes about .* tokens, the context is 64"):
            classifier(server, context=64).fit(X.assign(note="a long note " * 30), Y)


def test_a_chat_without_log_probabilities_is_drawn_from():
    with stand_in(by_draws) as server:
        model = classifier(server, draws=3, examples=2).fit(X, Y)
        assert model.backend_.abilities.endpoint == "chat" and model.backend_.abilities.listed == 0
        assert model.predict_proba(X.iloc[[11]]) == pytest.approx(np.array([[0.5, 3.5]]) / 4)
        asked = [request.body for request in server.seen if "seed" in (request.body or {})]
        assert len(asked) == 3 and len({body["seed"] for body in asked}) == 3
        roles = [entry["role"] for entry in asked[0]["messages"]]
        assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
        assert model.backend_.parse_rate == 1.0
        assert model.raw_parse_rate(X.iloc[:4]) == 1.0


def test_numbers_are_quantiles_of_drawn_answers_and_intervals_are_conformal():
    with stand_in(by_draws) as server:
        model = regressor(server, draws=4).fit(X, Z)
        assert model.predict(X.iloc[:2]) == pytest.approx([14.0, 14.0])
        assert model.predict_quantiles(X.iloc[:1], [0, 1])[0] == pytest.approx([12.5, 15.5])
        assert len(model.calibration_.scores) == 2


def test_unreadable_numbers_are_no_number_and_are_told():
    def answer(path, body):
        if path != "completions":
            return NOT_FOUND
        own = text_of(body)
        return completion("about 12" if "low" in own else "15.0", finish="length" if "x=1.00" in own else "stop")

    with stand_in(answer) as server, pytest.warns(MatgenWarning, match="have no readable answer and get no prediction"):
        model = regressor(server, draws=2).fit(X, Z)
        made = model.predict(X.iloc[[0, 8, 11]])
        assert math.isnan(made[0]) and made[1] == 15.0 and math.isnan(made[2])  # the last one was cut off
        assert model.backend_.parse_rate == pytest.approx(1 / 3)
        assert np.isfinite(model.calibration_.scores).all()


def test_rows_without_a_readable_label_get_equal_probabilities_and_a_warning():
    with stand_in(lambda path, body: completion("Well,") if path == "completions" else NOT_FOUND) as server:
        model = classifier(server, draws=2).fit(X, Y)
        with pytest.warns(MatgenWarning, match="12 of 12 rows .* equal probabilities \\(0.0% of the answers"):
            assert model.predict_proba(X) == pytest.approx(np.full((12, 2), 0.5))


def test_nothing_is_asked_twice_and_an_interrupted_prediction_goes_on(tmp_path):
    down = []

    def answer(path, body):
        if down and "high" in text_of(body):
            return 500, {"error": {"message": "out of memory"}}, {}
        return by_draws(path, body)

    with stand_in(answer) as server:
        model = classifier(server, draws=1, concurrency=1).fit(X, Y)
        down.append(True)
        with pytest.raises(DataError, match="HTTP 500: out of memory"):
            model.predict(X)
        down.clear()
        before = len(server.seen)
        assert (model.predict(X) == Y).all()
        assert len(server.seen) - before == 6  # the lower rows were answered
        save(model, tmp_path / "m")
        assert (load(tmp_path / "m").predict(X) == Y).all()
        assert len(server.seen) - before == 6
        LiftClassifier("api", model="m", backend_options={"base_url": server.url, "cache": False}).fit(X, Y).predict(X)
        assert len(server.seen) - before > 12


def test_too_many_requests_are_refused_before_the_first(caplog):
    caplog.set_level(logging.INFO, "matgen.lift.served")
    logging.getLogger("matgen.lift.served").propagate = True
    with stand_in(by_draws) as server:
        model = classifier(server, draws=5, max_requests=59).fit(X, Y)
        before = len(server.seen)
        with pytest.raises(OptionError, match="60 requests, about [\\d,]+ tokens of prompts .* max_requests=60"):
            model.predict(X)
        assert len(server.seen) == before
        model.predict(X.iloc[:1])
    assert any("asking m at http://127" in r.getMessage() and "5 requests" in r.getMessage() for r in caplog.records)


def test_folders_predict_the_same_and_hold_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with stand_in(by_logprobs) as server:
        model = classifier(server, examples=2).fit(X, Y)
        expected = model.predict_proba(X)
        folder = save(model, tmp_path / "m")
        assert np.array_equal(load(folder).predict_proba(X), expected)
        assert np.array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)
    for path in [*folder.rglob("*"), *(tmp_path / "cache").rglob("*")]:
        assert path.is_dir() or b"sk-very-secret" not in path.read_bytes()
    (folder / "model" / "examples.parquet").unlink()
    with pytest.raises(CheckpointError):
        load(folder)


def test_a_folder_does_not_send_the_key_where_it_wants(tmp_path, monkeypatch):
    with stand_in(by_draws) as server:
        folder = save(classifier(server, draws=1).fit(X, Y), tmp_path / "m")
    from matgen.io.files import read_checksummed, write_checksummed
    from matgen.lift.served.backend import ServedBackend

    settings = folder / "model" / "served.json"
    content = read_checksummed(settings)
    content["options"] |= {"base_url": "https://elsewhere.example/v1", "key_variable": "MATGEN_TEST_SECRET"}
    write_checksummed(settings, content)
    sentences = load_sentences(folder)
    ServedBackend().load(folder / "model", sentences)  # there is no key to send
    monkeypatch.setenv("MATGEN_TEST_SECRET", "s")
    with pytest.raises(CheckpointError, match="would send the key in MATGEN_TEST_SECRET to https://elsewhere"):
        ServedBackend().load(folder / "model", sentences)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.example/v1")
    ServedBackend().load(folder / "model", sentences)


def load_sentences(folder):
    from matgen.lift.columns import Column
    from matgen.lift.sentences import Sentences

    written = json.loads((folder / "lift.json").read_text())["sentences"]
    return Sentences(tuple(map(Column.from_json, written["columns"])), Column.from_json(written["target"]))


def test_retrieval_of_the_estimator_and_updates_reach_the_prompts():
    with stand_in(by_draws) as server:
        options = {"base_url": server.url, "draws": 1}
        model = LiftClassifier("api", model="m", retrieval=2, backend_options=options).fit(X, Y)
        assert model.backend_.store is None
        model.update(pd.DataFrame({"x": [0.5], "note": ["middle"]}), ["tall"])
        model.predict(pd.DataFrame({"x": [0.5], "note": ["middle"]}))
        assert "note=middle" in server.seen[-1].body["messages"][3]["content"]


def test_servers_with_limits_and_without_are_probed():
    def limited(path, body):
        if path == "completions" and (body.get("logprobs", 0) > 5 or body.get("n", 1) > 4):
            return 400, {"error": {"message": "logprobs must be at most 5"}}, {}
        if path == "models":
            return {"data": [{"id": "m", "max_model_len": 777}]}
        return by_logprobs(path, body)

    with stand_in(limited) as server:
        able = classifier(server).fit(X, Y).backend_.abilities
        assert (able.listed, able.several, able.context) == (5, True, 777)
    unknown = (404, {"error": {"message": "The model `m` does not exist"}}, {})
    with stand_in(lambda path, body: unknown) as server, pytest.raises(DataError, match="The model `m` does not exist"):
        classifier(server).fit(X, Y)
    with pytest.raises(OptionError, match="needs a model"):
        LiftClassifier("api", backend_options={"base_url": server.url}).fit(X, Y)
    with pytest.raises(OptionError, match="needs a server"):
        LiftClassifier("api", model="m").fit(X, Y)
    with pytest.raises(OptionError, match="leave out pretext"):
        LiftClassifier("api", model="m", pretext=1, backend_options={"base_url": server.url}).fit(X, Y)


def test_explanations_are_written_by_the_model():
    with stand_in(by_draws) as server:
        explanation = explain(classifier(server, draws=1).fit(X, Y), X.iloc[[11]])
    assert next(iter(explanation.effects)) == "note" and explanation.words == "tall"


def tuning_server(jobs):
    def answer(path, body):
        if path == "files":
            return {"id": "file-1"}
        if path == "fine_tuning/jobs":
            return {"id": "job-1"}
        if path == "fine_tuning/jobs/job-1":
            return next(jobs)
        if body and body["model"] == "m:tuned":
            assert len(body["messages"]) == 2  # no examples: they were learned
        return by_draws(path, body)

    return answer


def test_a_model_is_tuned_by_a_job_and_asked_by_its_new_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(tuning, "_PAUSE", 0.0)
    odd = X.assign(note=X["note"] + ' "quoted"\n')
    jobs = iter([{"status": "running"}, {"status": "succeeded", "fine_tuned_model": "m:tuned"}])
    with stand_in(tuning_server(jobs)) as server:
        model = classifier(server, tune=True, draws=1).fit(odd, Y, folder=tmp_path / "state")
        assert (model.predict(odd) == Y).all()
        uploaded = next(request.body for request in server.seen if request.path == "files")
        rows = [json.loads(line) for line in uploaded.splitlines() if line.startswith("{")]
        assert len(rows) == 12 and rows[0]["messages"][-1] == {"role": "assistant", "content": "small"}
        assert load(save(model, tmp_path / "m")).backend_.model == "m:tuned"
        jobs_begun = sum(request.path == "fine_tuning/jobs" for request in server.seen)
    again = iter([{"status": "succeeded", "fine_tuned_model": "m:tuned"}])
    with stand_in(tuning_server(again)) as server:
        classifier(server, tune=True, draws=1).fit(odd, Y, folder=tmp_path / "state", resume=True)
        assert jobs_begun == 1 and not any(request.path in ("files", "fine_tuning/jobs") for request in server.seen)


def test_jobs_that_fail_and_servers_without_jobs_are_told():
    failed = iter([{"status": "failed", "error": {"message": "too few rows"}}])
    with stand_in(tuning_server(failed)) as server, pytest.raises(DataError, match="job-1 failed: too few rows"):
        classifier(server, tune=True).fit(X, Y)
    with stand_in(by_draws) as server, pytest.raises(OptionError, match="has no fine-tuning jobs: leave out tune"):
        classifier(server, tune=True).fit(X, Y)


def test_the_command_line_tells_what_is_asked_before_it_is(tmp_path, capsys):
    table, out = tmp_path / "t.csv", tmp_path / "m"
    X.assign(size=Y).to_csv(table, index=False)
    with stand_in(by_draws) as server:
        fit = ["lift", "fit", "--table", str(table), "--target", "size", "--backend", "api", "--out", str(out)]
        assert main([*fit, "--base-url", server.url, "--base-model", "m", "--options", "draws=1,retries=0"]) == 0
        told = capsys.readouterr().err
        assert "m by chat, 2,048 tokens of context, no log-probabilities: 1 answers are drawn of each row" in told
        predicted = tmp_path / "p.csv"
        assert main(["lift", "predict", str(table), "--model", str(out), "--out", str(predicted)]) == 0
        told = capsys.readouterr().err
        assert "asking m at http://127.0.0.1" in told and "12 requests, about" in told
        assert (pd.read_csv(predicted)["size_predicted"] == Y).all()
    assert main(["lift", "predict", str(table), "--model", str(out), "--out", str(tmp_path / "q.csv")]) == 0  # cached
    other = tmp_path / "other.csv"
    X.assign(x=X["x"] + 3).to_csv(other, index=False)
    with warnings.catch_warnings():
        assert main(["lift", "predict", str(other), "--model", str(out), "--out", str(tmp_path / "r.csv")]) == 2
    assert "no server can be reached" in capsys.readouterr().err
    assert main([*fit[:-1], str(tmp_path / "n"), "--base-url", "ftp://x", "--base-model", "m"]) == 2
    assert "http:// or https://" in capsys.readouterr().err
