"""Every claim of LIFT's paper beside what was measured, with a verdict that follows from the figures by a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import NormalDist, fmean

from benchmarks.tables.render import Json, fill, percent

YES, PARTLY, NO = "yes", "partly", "**no**"
SCRATCH, PRETRAINED = "scratch", "SmolLM2"
IMAGE_SETS = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
_TWO_SIDED_95 = NormalDist().inv_cdf(0.975)


def claims(content: Json) -> Iterator[Json]:
    """A row for each claim."""
    for claim, model, judge in CLAIMS:
        verdict, figure = judge(content)
        yield {"claim": claim, "model": model, "verdict": verdict, "figure": figure}


def _rows(content: Json, task: str) -> dict[str, dict[str, Json]]:
    """Rows of the protocol by table and method."""
    tables: dict[str, dict[str, Json]] = {}
    for row in content["lift_protocol"]["rows"]:
        if row["task"] == task:
            tables.setdefault(row["table"], {})[row["method"]] = row
    return tables


def classification(content: Json) -> tuple[str, str]:
    """As accurate as LIFT with GPT-J as published, and as a forest on the same rows."""
    tables, published = _rows(content, "classification"), content["lift_protocol"]["published"]
    as_published = [
        100 * rows["LIFT"]["accuracy"] + 0.005 >= published[name]["LIFT GPT-J"] for name, rows in tables.items()
    ]
    as_forest = [rows["LIFT"]["accuracy"] >= rows["random_forest"]["accuracy"] for rows in tables.values()]
    return _by_count(as_forest), (
        f"at least as accurate as a random forest on {sum(as_forest)} of {len(tables)} tables, "
        f"as LIFT with GPT-J on {sum(as_published)}"
    )


def regression(content: Json) -> tuple[str, str]:
    """Errors below the published ones, a forest's, and those of a Gaussian process."""
    tables, published = _rows(content, "regression"), content["lift_protocol"]["published"]
    below = [rows["LIFT"]["rae_trimmed"] <= published[name]["LIFT GPT-J"] for name, rows in tables.items()]
    forest = [rows["LIFT"]["rae"] <= rows["random_forest"]["rae"] for rows in tables.values()]
    gaussian = [rows["LIFT"]["rae"] <= rows["gaussian_process"]["rae"] for rows in tables.values()]
    return _by_count(forest), (
        f"smaller error than a random forest on {sum(forest)} of {len(tables)} functions, than LIFT with GPT-J on "
        f"{sum(below)}, than a Gaussian process on {sum(gaussian)}"
    )


def outliers(content: Json) -> tuple[str, str]:
    """What four moved targets do to the error."""
    found = content["lift_extras"]["outliers"]
    growth = {name: row["with outliers"]["mean"] / row["clean"]["mean"] for name, row in found.items()}
    others = [value for name, value in growth.items() if name != "LIFT"]
    text = (
        f"error x {growth['LIFT']:.1f} with four outliers; x {min(others):.1f} to {max(others):.1f} for usual methods"
    )
    return YES if growth["LIFT"] < min(others) else NO, text


def corruption(content: Json) -> tuple[str, str]:
    """Accuracy lost to a fifth of wrong labels."""
    found = content["lift_extras"]["corruption"]
    lost = {name: 100 * (row["0"]["mean"] - row["0.2"]["mean"]) for name, row in found.items()}
    others = [value for name, value in lost.items() if name != "LIFT"]
    verdict = YES if lost["LIFT"] <= min(others) else PARTLY if lost["LIFT"] <= max(others) else NO
    of_others = f"{min(others):.1f} to {max(others):.1f} by usual methods"
    return verdict, f"{lost['LIFT']:.1f} points lost on Wine to 20 % wrong labels; {of_others}"


def two_stage(content: Json) -> tuple[str, str]:
    """Synthetic tasks first, then ten rows."""
    found = content["lift_extras"]["pretext"]
    without, with_two = found["0 pretext tasks"], found["2 pretext tasks"]
    text = (
        f"Blobs with {found['rows']} rows: {_accuracy(without)} without, {_accuracy(with_two)} with two synthetic tasks"
    )
    return _gain(without, with_two), text


def augmentation(content: Json) -> tuple[str, str]:
    """Noise on the columns."""
    found = content["lift_extras"]["augmentation"]["wine"]
    return _gain(
        found["none"], found["noise"]
    ), f"Wine: {_accuracy(found['none'])} without, {_accuracy(found['noise'])} with noise"


def generation(content: Json) -> tuple[str, str]:
    """A classifier taught by drawn rows instead of real ones."""
    found = content["lift_extras"]["generator"]
    lost = [row["real rows"]["mean"] - row["drawn rows"]["mean"] for row in found.values()]
    cell = "{name}: {drawn rows[mean]!p} from generated rows, {real rows[mean]!p} from real ones"
    text = "; ".join(fill(cell, {"name": name, **row}) for name, row in found.items())
    return YES if max(lost) <= 0.05 else PARTLY, f"accuracy of logistic regression on {text}"


def completion(content: Json) -> tuple[str, str]:
    """Digits from their upper half."""
    found = content["lift_images"]["sets"]["mnist"]["completion"]
    done, told, truth, chance = (found[name]["seen"] for name in ("without", "with the label", "truth", "other"))
    text = (
        f"of MNIST, the digit is recognized in {percent(done)} of completed halves, "
        f"{percent(told)} where it was given, {percent(truth)} of true ones"
    )
    return YES if done >= 0.9 * truth else PARTLY if done > chance else NO, text


def image_classes(content: Json) -> tuple[str, str]:
    """As accurate on images as LIFT with GPT-J as published, and as usual methods on the same images."""
    measured = {name: of for name, of in content["lift_images"]["sets"].items() if "classifier" in of}
    published, met, texts = content["lift_images"]["published"], [], []
    for name, of in measured.items():
        found, gptj = of["classifier"]["averaged"]["accuracy"], published[name]["LIFT GPT-J"]
        best = max(row["accuracy"] for row in of["baselines"].values())
        met += [100 * found + 0.005 >= gptj, found >= best]
        texts.append(
            f"{IMAGE_SETS[name]} {percent(found)}, the best usual method {percent(best)}, LIFT with GPT-J {gptj:.1f}"
        )
    return _by_count(met), "; ".join(texts)


def image_noise(content: Json) -> tuple[str, str]:
    """Test images with noise that the training images had not."""
    (share, found), *_ = reversed(content["lift_images"]["sets"]["mnist"]["noise"].items())
    ours = found["LIFT"]
    others = {name: value for name, value in found.items() if name != "LIFT"}
    text = ", ".join(f"{name.replace('_', ' ')} {percent(value)}" for name, value in others.items())
    verdict = YES if ours >= max(others.values()) else PARTLY if ours >= min(others.values()) else NO
    return verdict, f"with noise of {100 * float(share):.0f} % of white on MNIST {percent(ours)}; {text}"


def retrieval(content: Json) -> tuple[str, str]:
    """New rows in the prompt after the target has shifted."""
    found = content["lift_extras"]["shift"]["4 near rows"]
    stale, updated = found["after"]["mean"], found["after, updated"]["mean"]
    return (
        YES if updated < stale / 2 else NO,
        f"error after a shift {stale:.2f}, with new rows to retrieve {updated:.2f}",
    )


def boundaries(content: Json) -> tuple[str, str]:
    """Curved boundaries of two columns."""
    found = content["lift_extras"]["boundaries"]
    return YES, "; ".join(
        f"{name.replace('_', ' ')} {percent(row['accuracy'])}" for name, row in found.items()
    ) + " (pictures)"


def names(content: Json) -> tuple[str, str]:
    """What the names of columns are worth, of all tables together."""
    return _paired(content, ("head", "named"), ("head", "x1"), "with names", "with x1, x2 ...")


def order_of_names(content: Json) -> tuple[str, str]:
    """What right names are worth against shuffled ones."""
    return _paired(content, ("head", "named"), ("head", "shuffled"), "with names", "with shuffled names")


def pretraining(content: Json) -> tuple[str, str]:
    """What pre-training is worth against random weights."""
    return _paired(content, ("head", "named"), ("head on random weights", "named"), "pretrained", "on random weights")


def fine_tuning(content: Json) -> tuple[str, str]:
    """Adapters against the most frequent label."""
    rows = [row for row in content["lift_pretrained"]["rows"] if (row["kind"], row["template"]) == ("lora", "named")]
    published = content["lift_protocol"]["published"]
    above = [100 * row["accuracy"] > published[row["table"]]["majority"] + 5 for row in rows]
    text = "; ".join(f"{row['table']} {percent(row['accuracy'])}" for row in rows)
    return _by_count(above), f"all adapters, whole vocabulary: {text}"


def in_context(content: Json) -> tuple[str, str]:
    """Similar rows in the prompt, without training, beside what nearest neighbors say without a language model."""
    found, neighbors = content["lift_pretrained"], _rows(content, "classification")
    rows = [row for row in found["rows"] if (row["kind"], row["template"]) == ("in context", "named")]
    alone = {row["table"]: neighbors[row["table"]]["k_nearest"]["accuracy"] for row in rows}
    text = "; ".join(
        f"{row['table']} {percent(row['accuracy'])} ({percent(alone[row['table']])} by nearest neighbors alone)"
        for row in rows
    )
    better = [row["accuracy"] > alone[row["table"]] for row in rows]
    return _by_count(better), f"{found['examples']} similar rows in the prompt: {text}"


def not_measured(content: Json) -> tuple[str, str]:
    """What the package can do and no benchmark judges."""
    return "not measured", "-"


CLAIMS: tuple[tuple[str, str, Callable[[Json], tuple[str, str]]], ...] = (
    ("classification on a par with usual methods", SCRATCH, classification),
    ("regression on a par with usual methods", SCRATCH, regression),
    ("robust to outliers in training", SCRATCH, outliers),
    ("robust to wrong labels", SCRATCH, corruption),
    ("two-stage fine-tuning helps with few rows", SCRATCH, two_stage),
    ("data augmentation helps", SCRATCH, augmentation),
    ("generates rows that teach other models", SCRATCH, generation),
    ("classifies images", SCRATCH, image_classes),
    ("classifies noisy images", SCRATCH, image_noise),
    ("completes images", SCRATCH, completion),
    ("updated by retrieval when the data shift", SCRATCH, retrieval),
    ("learns curved decision boundaries", SCRATCH, boundaries),
    ("fine-tuning a language model learns the table", PRETRAINED, fine_tuning),
    ("names of columns help", PRETRAINED, names),
    ("right names help more than shuffled ones", PRETRAINED, order_of_names),
    ("pretraining matters", PRETRAINED, pretraining),
    ("works in context, without training", PRETRAINED, in_context),
    ("explains its answers (`matgen.lift.explain`)", PRETRAINED, not_measured),
    ("learns ridge regression's shrinkage", SCRATCH, not_measured),
)


def _by_count(met: list[bool]) -> str:
    return YES if all(met) else PARTLY if any(met) else NO


def _accuracy(row: Json) -> str:
    return f"{100 * row['mean']:.1f} ± {100 * row['std']:.1f} %"


def _gain(before: Json, after: Json) -> str:
    """Yes where the gain exceeds the larger spread over seeds."""
    gain = after["mean"] - before["mean"]
    return YES if gain > max(before["std"], after["std"]) else PARTLY if gain > 0 else NO


def _paired(content: Json, one: tuple[str, str], other: tuple[str, str], first: str, second: str) -> tuple[str, str]:
    """Accuracies of two ways on the same seeds of the same tables: their difference with its interval."""
    found = {
        (fit["kind"], fit["template"], fit["table"], fit["seed"]): fit["accuracy"]
        for fit in content["lift_pretrained"]["fits"]
    }
    pairs = [
        (accuracy, found[(*other, table, seed)])
        for (kind, template, table, seed), accuracy in found.items()
        if (kind, template) == one and (*other, table, seed) in found
    ]
    if len(pairs) < 2:
        return "not measured", "-"
    gains = [100 * (a - b) for a, b in pairs]
    mean = fmean(gains)
    spread = (sum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1)) ** 0.5 / len(gains) ** 0.5
    low, high = mean - _TWO_SIDED_95 * spread, mean + _TWO_SIDED_95 * spread
    verdict = YES if low > 0 else PARTLY if mean > 0 else NO
    shown = f"{100 * fmean(a for a, _ in pairs):.1f} % {first}, {100 * fmean(b for _, b in pairs):.1f} % {second}"
    return verdict, f"{shown}; difference {mean:+.1f} ({low:+.1f} to {high:+.1f}) points, {len(pairs)} pairs of fits"
