"""Rows of formulas that models write: how many are valid and novel, and which held-out ones are recovered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from benchmarks.tables.render import Json, fill, percent
from matgen.models import MODELS

PUBLISHED = {"gptj": "97.6 / 91.2 %", "blmm": "89.7 / 84.8 %"}
"""Neutral and balanced as published: Fu et al. 2023 (the best model), Wei et al. 2022 (its BLMM)."""

RANKINGS = {
    "training_pairs": "pairs of training compounds that differ by this substitution",
    "frequency": "frequency of the element at this position in training",
    "mendeleev_number": "nearest Mendeleev number",
    "ionic_radius": "nearest Shannon radius in the parent's oxidation state",
    "chance": "chance",
}


def of_models(content: Json) -> list[Json]:
    rows = _of_study(
        content, lambda row: (row["dataset"], row["split"], row["preset"]) == ("hybrid-pure", "split", "tiny")
    )
    return [row | {"as_published": PUBLISHED.get(row["model"], "")} for row in rows]


def of_datasets(content: Json) -> list[Json]:
    return _of_study(
        content, lambda row: (row["model"], row["notation"], row["split"]) == ("gptj", "expanded", "split")
    )


def _of_study(content: Json, chosen: Callable[[Json], bool]) -> list[Json]:
    rows = [row | {"drawn": row["samples"]["10000"]} for row in content["rows"].values() if chosen(row)]
    order = list(MODELS)
    return sorted(rows, key=lambda row: (row["dataset"], order.index(row["model"]), row["notation"]))


def how(row: Json) -> str:
    return ", counted" * (row["notation"] == "counted") + ", Muon" * (row["optimizer"] == "muon")


def bits(row: Json) -> str:
    exact = f"{row['training']['test_nats'] / math.log(2):.2f}"
    bound = row["training"]["figure"] == "bound"
    return f"≤ {exact}; ≈ {row['summed_nats'] / math.log(2):.2f} summed" if bound else exact


def recovery(content: Json) -> Iterator[Json]:
    """Recovery of held-out formulas, expected and found, on both splits, beside chance and the most there can be."""
    study, bundled = content["published"], content["bundled"]["checkpoints"]["hybrid-pure-gptj-small"]
    for split, title in {"split": "single formulas", "split_chemsys": "complete chemical systems"}.items():
        for row in study["rows"].values():
            if (row["model"], row["dataset"], row["split"]) == ("gptj", "hybrid-pure", split):
                name = fill("GPT-J `{preset}`, {notation}, {minutes:.0f} minutes", row)
                name += ", Muon" * (row["optimizer"] == "muon")
                yield _recovered(f"{title}: {name}", row, row["samples"]["10000"])
        if split == "split":
            yield _recovered(f"{title}: the bundled `hybrid-pure-gptj-small`", bundled, bundled["metrics"])
        places = study["baselines"].get(f"hybrid-pure {split}", {})
        for name in ("stoichiometry_frequency", "stoichiometry_uniform", "uniform") if places else ():
            few, many = (f"{100 * share:.2f} %" for share in places[name].values())
            name = f"{title}: random, {name.replace('_', ', ')}"
            yield {"title": name, "few": "", "found": few, "many": f"{many} (found)"}
        if places:
            most = {"expected_recovery": places["ceiling"]}
            yield _recovered(
                f"{title}: equal probability for every formula of the dataset, none for others", most, None
            )


def _recovered(title: str, row: Json, drawn: Json | None) -> Json:
    few, many = map(percent, row["expected_recovery"].values())
    return {"title": title, "few": few, "found": percent(drawn["recovery"]["test"]) if drawn else "", "many": many}


def temperatures(content: Json) -> str:
    return " | ".join(f"{row['temperature']:g}" for row in next(iter(content["models"].values()))["rows"])


def yields(content: Json) -> Iterator[Json]:
    for model in content["models"].values():
        model_title = fill("{title} `{preset}`, {notation}, {test_nats:.2f} nats",
                           model | {"title": MODELS[model["architecture"]].title})  # fmt: skip
        for metric, title in {"valid_unique_novel": model_title, "valid": "of which valid"}.items():
            yield {"title": title, "shares": " | ".join(percent(row[metric]) for row in model["rows"])}


def released(content: Json) -> list[Json]:
    titles = {
        "as_released": "trained and sampled with the released code",
        "drawn_by_matgen": "trained with the released code, sampled with matgen",
        "matgen": "trained and sampled with matgen",
    }
    return [content[name] | {"title": title} for name, title in titles.items()]


def conditions(content: Json) -> Iterator[Json]:
    for name, row in content["rows"].items():
        plain = name.startswith(("unconditional", "trained"))
        compared = {
            "predicted": fill("{predicted_inside!p} ({unconditional_predicted_inside!p})", row),
            "by_label": fill("{held_out_inside!p} ({unconditional_held_out_inside!p})", row),
        } if name != "unconditional" else {}  # fmt: skip
        yield {**row, **compared, "name": name if plain else f"`{name}`"}


def substitution(content: Json) -> Iterator[Json]:
    """Models first, then rankings without one, each by mean reciprocal rank; of pymatgen's variants the better one."""
    tables = content["rankings"]
    state = max(("any", "same"), key=lambda state: _reciprocal(tables[f"pymatgen_{state}_state"]))
    titles = RANKINGS | {f"pymatgen_{state}_state": f"pymatgen's mined substitution probability, {state} state"}
    models = [row | {"title": f"{row['title']} (`{name}`)"} for name, row in content["models"].items()]
    without = [row | {"title": titles[name]} for name, row in tables.items() if name in titles]
    for row in (row for part in (models, without) for row in sorted(part, key=_reciprocal, reverse=True)):
        known = {"of_known_ions": _with_error(row["known_ions"]["recall_at_5"])} if "known_ions" in row else {}
        yield {**row, **known, "recall": {name: _with_error(row[name]) for name in row if name.startswith("recall_at")}}


def _reciprocal(row: Json) -> float:
    return row["mean_reciprocal_rank"]["value"]


def _with_error(share: Json) -> str:
    error = f" ± {100 * share['standard_error']:.1f}" if "standard_error" in share else ""
    return f"{100 * share['value']:.1f}{error} %"


def times_as_fast(content: Json) -> float:
    return content["summed_formulas_per_second"] / content["enumeration_formulas_per_second"]
