"""The image rows of LIFT's paper: MNIST and Fashion-MNIST as tables of patch words, learned by the small model.

baselines: the usual methods on the gray values of the same images; classifier: the model, with the test images as they
are and averaged over what they are when moved by a pixel; noise: all of them on test images with noise; completion: the
lower half of digits from the upper half, with and without the digit, and whether a support vector machine sees the
digit; picture: some of those. Each part is kept when done, and a fit that was stopped goes on where it was.

nice -n 10 python -m benchmarks.lift_images [--set mnist] [--parts baselines classifier ...] [--steps 8000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.record import RESULTS, command_line, machine, read_result
from matgen.io.files import write_json
from matgen.lift import LiftClassifier, LiftGenerator
from matgen.lift.images.completion import completed, draw_grid
from matgen.lift.images.encoding import PatchWords
from matgen.lift.images.moving import averaged_probabilities, with_copies
from matgen.lift.images.sources import Images, image_set, load_images
from matgen.lift.images.tables import LABEL, labeled_table, table_to_complete
from matgen.lift.measures import accuracy_interval
from matgen.lift.paper.baselines import baseline
from matgen.lift.paper.published import ACCURACY
from matgen.runtime.progress import TerminalProgress

VALIDATION, SEED = 500, 0
COPIES = {"mnist": 8, "fashion-mnist": 1}
STEPS = {"mnist": 8_000, "fashion-mnist": 8_000}
COMPLETION_STEPS = 3_000
METHODS = ("logistic", "k_nearest", "random_forest")
NOISES = (0.0, 0.1, 0.2, 0.3)
JUDGED = 500
FOLDER = RESULTS.parent / "work" / "lift_images"


class Bench:
    """One set of images with what is fitted on it."""

    def __init__(self, name: str, steps: int, folder: Path) -> None:
        self.name, self.steps, self.folder = name, steps, folder / name
        self.of = image_set(name)
        train, self.test = load_images(name)
        order = np.random.default_rng(SEED).permutation(len(train))
        self.train, self.valid = train[np.sort(order[VALIDATION:])], train[np.sort(order[:VALIDATION])]
        self.encoding = PatchWords.learned(self.train.pixels, crop=self.of.crop, seed=SEED)
        self.labels = self.test.labels.astype(str)

    @cached_property
    def classifier(self) -> tuple[LiftClassifier, float]:
        """The fitted model, and the core-seconds that this process gave it."""
        more = with_copies(self.train, COPIES[self.name], mirror=self.of.mirrors, seed=SEED)
        table, held_out = labeled_table(more, self.encoding), labeled_table(self.valid, self.encoding)
        options = {"steps": self.steps, "evaluations": 40}
        began = time.process_time()
        model = LiftClassifier(backend_options=options, random_state=SEED)
        X, y = table.drop(columns=LABEL), table[LABEL].astype(str)
        valid = held_out.drop(columns=LABEL), held_out[LABEL].astype(str)
        where = self.folder / f"classifier-{self.steps}"
        model.fit(X, y, validation=valid, folder=where, resume=True, progress=TerminalProgress())
        return model, time.process_time() - began

    @cached_property
    def usual(self) -> dict[str, tuple[Any, float]]:
        """The usual methods on gray values from 0 to 1, and the core-seconds of each."""
        X, made = grays(self.train), {}
        for method in METHODS:
            began = time.process_time()
            made[method] = baseline(method, X, "classification").fit(X, self.train.labels.astype(str))
            made[method] = made[method], time.process_time() - began
        return made

    def scored(self, predicted: np.ndarray) -> dict[str, Any]:
        right = float((predicted == self.labels).mean())
        return {"accuracy": right, "interval": list(accuracy_interval(right, len(self.labels)))}


def grays(images: Images) -> pd.DataFrame:
    flat = images.pixels.reshape(len(images), -1) / 255.0
    return pd.DataFrame(flat, columns=[f"pixel {i}" for i in range(flat.shape[1])])


def baselines(bench: Bench) -> dict[str, Any]:
    X = grays(bench.test)
    return {
        method: bench.scored(model.predict(X)) | {"core_seconds": round(seconds, 1)}
        for method, (model, seconds) in bench.usual.items()
    }


def classifier(bench: Bench) -> dict[str, Any]:
    model, seconds = bench.classifier
    began = time.process_time()
    plain = model.predict_proba(bench.encoding.table(bench.test.pixels))
    each = (time.process_time() - began) / len(bench.test)
    averaged = averaged_probabilities(model, bench.encoding, bench.test.pixels, mirror=bench.of.mirrors)
    of_valid = model.predict(bench.encoding.table(bench.valid.pixels))
    return {
        "n_train": len(bench.train),
        "n_valid": len(bench.valid),
        "n_test": len(bench.test),
        "columns": len(bench.encoding.columns),
        "words": len(bench.encoding.words),
        "copies": COPIES[bench.name],
        "steps": bench.steps,
        "n_parameters": model.n_parameters_,
        "core_seconds": round(seconds, 1),
        "seconds_a_prediction": each,
        "validation": float((of_valid == bench.valid.labels.astype(str)).mean()),
        "plain": bench.scored(model.classes_[plain.argmax(axis=1)]),
        "averaged": bench.scored(model.classes_[averaged.argmax(axis=1)]),
    }


def noise(bench: Bench) -> dict[str, Any]:
    """Accuracy with normal noise on each pixel, its standard deviation as a share of white."""
    model, rng = bench.classifier[0], np.random.default_rng(SEED)
    results: dict[str, Any] = {}
    for share in NOISES:
        noisy = bench.test.pixels + rng.normal(0, 255 * share, bench.test.pixels.shape)
        seen = Images(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), bench.test.labels)
        averaged = averaged_probabilities(model, bench.encoding, seen.pixels, mirror=bench.of.mirrors)
        right = {"LIFT": model.classes_[averaged.argmax(axis=1)]}
        right |= {method: usual.predict(grays(seen)) for method, (usual, _) in bench.usual.items()}
        results[f"{share:g}"] = {method: float((said == bench.labels).mean()) for method, said in right.items()}
    return results


def completion(bench: Bench) -> dict[str, Any]:
    from sklearn.svm import SVC

    table = table_to_complete(with_copies(bench.train, 1, seed=SEED), bench.encoding, seed=SEED)
    began = time.process_time()
    options = {"steps": COMPLETION_STEPS, "evaluations": 20}
    generator = LiftGenerator(order="table", backend_options=options, random_state=SEED)
    held_out = table_to_complete(bench.valid, bench.encoding, seed=SEED)
    where = bench.folder / f"completion-{COMPLETION_STEPS}"
    generator.fit(table, validation=held_out, folder=where, resume=True, progress=TerminalProgress())
    seconds = time.process_time() - began
    some = bench.test[np.random.default_rng(SEED).permutation(len(bench.test))[:JUDGED]]
    with_label = completed(generator, bench.encoding, some.pixels, some.labels, seed=SEED)
    without = completed(generator, bench.encoding, some.pixels, seed=SEED)
    truth = bench.encoding.images(bench.encoding.table(some.pixels))
    other = truth.copy()
    half = truth.shape[1] // 2
    other[:, half:] = np.roll(truth, 1, axis=0)[:, half:]
    judge = SVC().fit(grays(bench.train).to_numpy(), bench.train.labels.astype(str))
    pictures(bench, generator)
    return {
        "n": len(some),
        "core_seconds": round(seconds, 1),
        **{
            name: {
                "seen": float((judge.predict(made.reshape(len(made), -1) / 255) == some.labels.astype(str)).mean()),
                "error": float(np.abs(made - truth)[:, half:].mean() / 255),
            }
            for name, made in {"truth": truth, "with the label": with_label, "without": without, "other": other}.items()
        },
    }


def pictures(bench: Bench, generator: LiftGenerator) -> None:
    """One test image of each label: what is given, the truth, and completions."""
    some = bench.test[np.array([np.flatnonzero(bench.labels == label)[0] for label in sorted(set(bench.labels))])]
    truth = bench.encoding.images(bench.encoding.table(some.pixels))
    upper = np.where(np.arange(truth.shape[1])[:, None] < truth.shape[1] // 2, truth, np.nan)
    rows = [("given", upper), ("truth", truth)]
    for seed in (1, 2):
        rows.append((f"drawn {seed}", completed(generator, bench.encoding, some.pixels, seed=seed)))
    for seed in (1, 2):
        rows.append((f"label {seed}", completed(generator, bench.encoding, some.pixels, some.labels, seed=seed)))
    draw_grid(rows, RESULTS / f"lift_images_{bench.name}.png")


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "baselines": baselines,
    "classifier": classifier,
    "noise": noise,
    "completion": completion,
}


def protocol() -> dict[str, Any]:
    """What was published, and how the rows differ from those."""
    return {
        "published": {name: ACCURACY[name] for name in STEPS},
        "splits": {name: image_set(name).split for name in STEPS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", nargs="+", default=["mnist", "fashion-mnist"], choices=list(STEPS), dest="sets")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--steps", type=int, help=f"of the classifier (default: {STEPS})")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="state of the fits")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.sets:
        bench = Bench(name, options.steps or STEPS[name], options.folder)
        for part in options.parts:
            content = read_result("lift_images")
            measured = PARTS[part](bench)
            content |= {"command": command_line(), "machine": machine(), **protocol()}
            content.setdefault("sets", {}).setdefault(name, {})[part] = measured
            write_json(RESULTS / "lift_images.json", content)
            print(name, part, measured, flush=True)


if __name__ == "__main__":
    main()
