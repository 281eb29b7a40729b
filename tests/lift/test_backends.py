"""Backends by name, and the example of CONTRIBUTING.md, taken from the page and run."""

import re
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.cli import main
from matgen.errors import OptionError
from matgen.lift import LiftClassifier, LiftRegressor, backends, load, save
from matgen.lift.backends import BACKENDS, make_backend
from matgen.lift.interface import Backend

ROOT = Path(__file__).parents[2]
LABELS = pd.Series(["a", "b", "a", "a"], name="label")
ROWS = pd.DataFrame({"x": [0.5, 1.5, 2.5, 3.5]})


def example_blocks():
    """The two blocks of code of the section on backends: the class, and its row with its function."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    section = page.partition("## A LIFT backend\n")[2].partition("\n## ")[0]
    return [textwrap.dedent(block) for block in re.findall(r" *```text\n(.*?) *```", section, flags=re.DOTALL)]


@pytest.fixture
def frequency(monkeypatch):
    """The backend `frequency` of CONTRIBUTING.md, registered as the page says."""
    code, row = example_blocks()
    package, module = types.ModuleType("matgen.lift.frequency"), types.ModuleType("matgen.lift.frequency.backend")
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec("import numpy as np\nfrom matgen.errors import OptionError\n", module.__dict__)
    exec("from matgen.io.files import read_json, write_json\n" + code, module.__dict__)
    function, _, constructor = row.rpartition("\n\n")
    names = dict(backends.__dict__)
    exec("from typing import Any\n" + function, names)
    monkeypatch.setitem(BACKENDS, "frequency", eval(constructor.strip().rstrip(","), names))
    return module.FrequencyBackend


def test_the_example_of_a_backend_works_as_written(frequency, tmp_path):
    model = LiftClassifier("frequency", backend_options={"smoothing": 0.0}).fit(ROWS, LABELS)
    assert model.predict_proba(ROWS) == pytest.approx(np.tile([0.75, 0.25], (4, 1)))
    save(model, tmp_path / "m")
    assert np.array_equal(load(tmp_path / "m").predict_proba(ROWS), model.predict_proba(ROWS))
    with pytest.raises(
        OptionError, match="unknown option of the backend 'smooth', did you mean smoothing\\? known: smoothing"
    ):
        LiftClassifier("frequency", backend_options={"smooth": 1}).fit(ROWS, LABELS)
    with pytest.raises(OptionError, match="labels only"):
        LiftRegressor("frequency", held_out=0.5).fit(ROWS, ROWS["x"])


def test_the_example_has_every_method_of_the_protocol(frequency):
    methods = {name for name in vars(Backend) if not name.startswith("_")}
    assert methods <= set(dir(frequency))


def test_help_names_every_backend_with_its_options(frequency, capsys):
    with pytest.raises(SystemExit):
        main(["lift", "fit", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for kind in BACKENDS.values():
        assert kind.summary in shown and f"{kind.example} ({kind.name})" in shown
    assert "label frequencies" in shown


def test_documentation_has_every_backend():
    page = (ROOT / "docs" / "howto" / "lift.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|", page.partition("## Backends")[2].partition("\n## ")[0], flags=re.MULTILINE)
    assert rows == list(BACKENDS)


@pytest.mark.parametrize("kind", BACKENDS.values(), ids=list(BACKENDS))
def test_examples_of_options_are_options(kind):
    names = {part.partition("=")[0] for part in kind.example.split(",")}
    assert names <= set(kind.options())


def test_unknown_backends_and_options_are_named():
    with pytest.raises(OptionError, match="unknown backend 'gpt5'; known: scratch, smollm2, path, api"):
        make_backend("gpt5")
    with pytest.raises(OptionError, match="unknown option of the backend 'stepz', did you mean steps\\? known: width"):
        make_backend("scratch", stepz=3)
    with pytest.raises(OptionError, match="'model'"):
        LiftClassifier("scratch", model="folder").fit(ROWS, LABELS)


@pytest.mark.parametrize(("name", "copies"), [("frequency", 2), ("scratch", 1)])
def test_noise_reaches_backends_that_augment_rows_and_the_rows_of_others(frequency, monkeypatch, name, copies):
    """A backend without noise of its own gets every training row twice: as it is, and with noise."""
    seen = {}

    def fit(self, training_set, **_):
        seen["rows"], seen["noise"] = len(training_set.train), getattr(getattr(self, "options", None), "noise", None)

    monkeypatch.setattr(type(make_backend(name)), "fit", fit)
    LiftClassifier(name, noise=0.25).fit(ROWS, LABELS)
    assert seen == {"rows": copies * len(ROWS), "noise": 0.25 if name == "scratch" else None}
