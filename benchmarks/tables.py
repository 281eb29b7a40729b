"""The README's tables, made from the JSON under `benchmarks/results/`: rewrites what is between the markers.

python -m benchmarks.tables           (writes README.md)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import tables_gpu, tables_lift, tables_predict, tables_relaxed, tables_structures, tables_trust
from benchmarks.record import RESULTS
from benchmarks.tables_predict import percent
from matgen.io.files import read_json, write_text
from matgen.models import MODELS

README = Path(__file__).resolve().parent.parent / "README.md"


PUBLISHED = {"gptj": "97.6 / 91.2 %", "blmm": "89.7 / 84.8 %"}
"""Neutral and balanced as published: Fu et al. 2023 (the best model), Wei et al. 2022 (its BLMM)."""


def published(content: dict[str, Any], chosen: Callable[[dict[str, Any]], bool], first: str) -> list[str]:
    """Rows of the study, of 10,000 draws; `first` names the column that tells them apart."""
    lines = [
        f"| {first} | minutes | size | bits a held-out formula | neutral | balanced | published | unique | novel | "
        "all three | recovered | expected in 10^4 / 10^6 | training, formulas/s | drawing, formulas/s |",
        "|---" * 14 + "|",
    ]
    order = list(MODELS)
    rows = [row for row in content["rows"].values() if chosen(row)]
    for row in sorted(rows, key=lambda row: (row["dataset"], order.index(row["model"]), row["notation"])):
        training, drawn = row["training"], row["samples"]["10000"]
        bits = f"{training['test_nats'] / math.log(2):.2f}"
        if training["figure"] == "bound":
            bits = f"≤ {bits}; ≈ {row['summed_nats'] / math.log(2):.2f} summed"
        expected = " / ".join(f"{100 * share:.1f}" for share in row["expected_recovery"].values())
        told = {"model": row["title"], "dataset": f"`{row['dataset']}`"}
        cells = [
            told[first] + ", counted" * (row["notation"] == "counted") + ", by Muon" * (row["optimizer"] == "muon"),
            f"{row['minutes']:.0f}",
            f"{training['parameters'] / 1e6:.2f} M",
            bits,
            *(percent(drawn[name]) for name in ("charge_neutral", "electronegativity_balanced")),
            PUBLISHED.get(row["model"], "") if first == "model" else "",
            *(percent(drawn[name]) for name in ("unique", "novel", "valid_unique_novel")),
            percent(drawn["recovery"]["test"]),
            f"{expected} %",
            f"{training['formulas_per_second']:,.0f}",
            f"{drawn['formulas_per_second']:,.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def of_models(dataset: str) -> Callable[[dict[str, Any]], bool]:
    return lambda row: row["dataset"] == dataset and row["split"] == "split" and row["preset"] == "tiny"


def of_datasets(row: dict[str, Any]) -> bool:
    return row["model"] == "gptj" and row["notation"] == "expanded" and row["split"] == "split"


def recovery(content: dict[str, Any], bundled_row: dict[str, Any]) -> list[str]:
    """Recovery of held-out formulas, expected and found, on both splits, beside chance and the most there can be."""
    lines = [
        "| held out of `hybrid-pure` | expected in 10^4 draws | found in 10^4 | expected in 10^6 |",
        "|---|---|---|---|",
    ]
    titles = {"split": "single formulas", "split_chemsys": "whole chemical systems"}
    for split, title in titles.items():
        for row in content["rows"].values():
            if (row["model"], row["dataset"], row["split"]) == ("gptj", "hybrid-pure", split):
                expected = [percent(share) for share in row["expected_recovery"].values()]
                found = percent(row["samples"]["10000"]["recovery"]["test"])
                name = f"GPT-J `{row['preset']}`, {row['notation']}, {row['minutes']:.0f} minutes"
                name += " by Muon" * (row["optimizer"] == "muon")
                lines.append(f"| {title}: {name} | {expected[0]} | {found} | {expected[1]} |")
        if split == "split":
            expected = [percent(share) for share in bundled_row["expected_recovery"].values()]
            found = percent(bundled_row["metrics"]["recovery"]["test"])
            lines.append(f"| {title}: the bundled GPT-J | {expected[0]} | {found} | {expected[1]} |")
        places = content["baselines"].get(f"hybrid-pure {split}")
        if places:
            for name in ("stoichiometry_frequency", "stoichiometry_uniform", "uniform"):
                shares = [f"{100 * share:.2f} %" for share in places[name].values()]
                lines.append(f"| {title}: random, {name.replace('_', ', ')} |  | {shares[0]} | {shares[1]} (found) |")
            most = [percent(share) for share in places["ceiling"].values()]
            lines.append(
                f"| {title}: every formula of the dataset equally probable, and no other | {most[0]} |  | {most[1]} |"
            )
    return lines


def yields(content: dict[str, Any]) -> list[str]:
    temperatures = [row["temperature"] for row in next(iter(content["models"].values()))["rows"]]
    lines = [
        "| valid, unique and novel of 10,000 draws at temperature | "
        + " | ".join(f"{t:g}" for t in temperatures)
        + " |",
        "|---" * (len(temperatures) + 1) + "|",
    ]
    for model in content["models"].values():
        title = MODELS[model["architecture"]].title
        name = f"{title} `{model['preset']}`, {model['notation']}, {model['test_nats']:.2f} nats"
        shares = [f"{100 * row['valid_unique_novel']:.1f} %" for row in model["rows"]]
        lines.append(f"| {name} | {' | '.join(shares)} |")
        valid = [f"{100 * row['valid']:.1f} %" for row in model["rows"]]
        lines.append(f"| of which valid | {' | '.join(valid)} |")
    return lines


def training_size(content: dict[str, Any]) -> list[str]:
    lines = [
        "| training formulas | nats a held-out formula | neutral | balanced | unique | novel | all three | recovered | "
        "expected in 10^6 | epochs |",
        "|---" * 10 + "|",
    ]
    names = ("charge_neutral", "electronegativity_balanced", "unique", "novel", "valid_unique_novel", "recovered")
    for row in content["rows"]:
        cells = [percent(row[name]) for name in names]
        lines.append(
            f"| {row['formulas']:,} ({100 * row['share']:g} %) | {row['test_nats']:.2f} | {' | '.join(cells)} | "
            f"{percent(row['expected_recovery']['1000000'])} | {row['training']['epochs']:.0f} |"
        )
    return lines


def time_to_loss(content: dict[str, Any]) -> list[str]:
    cores = "one core" if content["threads"] == 1 else f"{content['threads']} cores"
    lines = [f"| GPT-J `paper`, {cores} | minutes | nats a validation formula |", "|---|---|---|"]
    for row in content["recipe"]:
        lines.append(
            f"| transformers `Trainer`, published recipe, learning rate {row['learning_rate']:g} | "
            f"{row['seconds'] / 60:.1f} | {row['valid_nats']:.2f} |"
        )
    for notation, row in content["matgen"].items():
        lines.append(f"| matgen, {notation} | {row['seconds'] / 60:.1f} | {row['valid_nats']:.2f} |")
    return lines


def main_job(content: dict[str, Any]) -> list[str]:
    stages, metrics = content["stages"], content["metrics"]
    rows = [
        ("`matgen --help`", f"{content['help_seconds']:.2f} s"),
        ("`matgen discover`, all of it", f"{content['discover_seconds']:.0f} s"),
        (
            "of which drawing, predicting, judging, structures",
            " / ".join(f"{stages[s]:.0f} s" for s in ("sample", "predict", "evaluate", "structure")),
        ),
        ("charge neutral (best random baseline)", _beside(metrics, "charge_neutral")),
        ("electronegativity balanced (best random baseline)", _beside(metrics, "electronegativity_balanced")),
        ("balanced, of compositions not all metal", percent(metrics["groups"]["ionic"]["electronegativity_balanced"])),
        ("balanced, of all-metal compositions", percent(metrics["groups"]["all_metal"]["electronegativity_balanced"])),
        ("unique / novel", f"{percent(metrics['unique'])} / {percent(metrics['novel'])}"),
        ("valid, unique and novel", f"{content['ranked']:,} of {metrics['n']:,}"),
        (
            "of the first structures, at most 0.1 eV/atom above the hull by CHGNet",
            f"{metrics['structures']['counts']['metastable']} of {metrics['structures']['n']}",
        ),
    ]
    return ["| `matgen discover` as typed | measured |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]


def _beside(metrics: dict[str, Any], name: str) -> str:
    return f"{percent(metrics[name])} ({percent(metrics['baseline'][name])})"


def speed(
    parsing: dict[str, Any],
    training: dict[str, Any],
    validity: dict[str, Any],
    streaming: dict[str, Any],
) -> list[str]:
    per_second, peer = "formulas/s", training["trainer_formulas_per_second"]
    rows = [
        (
            f"parsing {parsing['formulas']:,} formulas",
            f"{parsing['matgen_seconds']:.2f} s",
            f"pymatgen `Composition`: {parsing['pymatgen_seconds']:.1f} s",
            f"{parsing['ratio']:.0f} x",
        )
    ]
    for notation in ("expanded", "counted"):
        rows.append(
            (
                f"training paper-size GPT-J, {notation}, {training['precision']}",
                f"{training[f'{notation}_formulas_per_second']:,.0f} {per_second}",
                f"transformers `Trainer`, published recipe: {peer:,.0f} {per_second}",
                f"{training[f'{notation}_ratio']:.1f} x",
            )
        )
    hybrid, largest = validity["speed"]["hybrid"], streaming["sizes"][-1]
    rows.append(
        (
            "judging neutrality and balance, one core",
            f"{hybrid['formulas_per_second_a_core']:,} {per_second}",
            f"SMACT: {hybrid['smact_formulas_per_second']:,} {per_second}",
            f"{hybrid['ratio_a_core']:,} x",
        )
    )
    rows.append(
        (
            f"unique, novel, recovered: {largest['candidates'] // 10**6} million against as many, "
            f"{largest['peak_rss_mb']:.0f} MB ({streaming['peak_rss_mb_smallest']:.0f} MB at a tenth)",
            f"{largest['seconds']:.1f} s",
            f"pandas and pymatgen, loop: {streaming['loop']['rows_per_second']:,.0f} rows/s",
            f"{streaming['ratio']:.0f} x",
        )
    )
    head = ["| what | matgen | peer, same run | ratio |", "|---|---|---|---|"]
    return head + [f"| {' | '.join(row)} |" for row in rows]


def sampling(content: dict[str, Any]) -> list[str]:
    """One line a model: rates of the engine at 10,000 and 100,000 beside the best of `generate`."""
    lines = [
        "| model, notation, nats a formula | rows computed a formula, n = 10^3 … 10^6 | `generate`, fp32 / bf16 | "
        "matgen, n = 10^4 / 10^5 | over `generate` fp32 | over `generate` bf16 | over the published recipe | "
        "bf16 matrix peak | p |",
        "|---" * 9 + "|",
    ]
    for model in content["models"].values():
        sizes = {int(n): row for n, row in model["engine"].items()}
        at = [sizes[n]["bf16"] for n in (10_000, 100_000)]
        shared = [f"{row['rows_per_formula']:.2f}" for _, row in sorted(sizes.items())]
        if "rows_per_formula_of_a_million" in model:
            shared.append(f"{model['rows_per_formula_of_a_million']:.2f}")
        p_values = model["chi_square_p_values"].values()
        rates = " / ".join(f"{row['formulas_per_second']:,}" for row in at)
        over_fp32, over_bf16 = (
            " / ".join(f"{row[name]:.0f} x" for row in at) for name in ("ratio_to_generate_fp32", "ratio_to_generate")
        )
        lines.append(
            f"| {MODELS[model['architecture']].title} `{model['preset']}`, {model['notation']}, "
            f"{model['valid_nats']:.2f} | {' / '.join(shared)} | {model['generate']['fp32']:,.0f} / "
            f"{model['generate']['bf16']:,.0f} | {rates} | "
            f"{over_fp32} | "
            f"{over_bf16} | "
            f"{at[0]['ratio_to_published']:,} x | {percent(at[1]['share_of_matrix_peak'])} | "
            f"{min(p_values):.2f} … {max(p_values):.2f} |"
        )
    whole = {int(n): row for n, row in content["whole_command"].items()}
    parts = [
        f"{n:,} formulas in {row['seconds']:,.1f} s with {row['peak_memory_mb']:,} MB"
        for n, row in sorted(whole.items())
    ]
    return [*lines, "", f"The whole command with the first model, as typed: {'; '.join(parts)}."]


TABLE_NAMES = {
    "icsd24": "ICSD 2024",
    "icsd16": "ICSD 2016",
    "smact14": "SMACT 2014",
    "pymatgen": "pymatgen",
    "wiki": "wiki",
}


def agreement(found: dict[str, Any], speed: dict[str, Any]) -> list[str]:
    def row(what: str, part: dict[str, Any]) -> str:
        left_out = f" ({part['left_out']:,} left out)" if part["left_out"] else ""
        return f"| {what} | {part['formulas']:,}{left_out} | {part['disagreements']} |"

    lines = ["| compared | formulas | disagreements |", "|---|---|---|"]
    for part in found["bundled"]:
        rules = part["rules"]
        extra = [", zero included"] if rules["include_zero"] else []
        extra += [f", {rules['commonality']}"] if rules["commonality"] != "low" else []
        lines.append(row(f"SMACT, all bundled, {TABLE_NAMES[rules['oxidation_states']]}{''.join(extra)}", part))
    random, mixed = found["random"], found["mixed_valence"]
    lines.append(row("SMACT, random, 2 to 8 elements, counts to 40", random["smact"]))
    lines.append(row("every assignment tried, random, the larger ones", random["brute_force"]))
    lines.append(row("SMACT, mixed valence, below its limit", mixed["bundled_smact"]))
    lines.append(row("every assignment tried, mixed valence", mixed["bundled_brute_force"]))
    lines.append(row("the same with states of zero (wiki)", mixed["wiki_brute_force"]))
    hybrid, random_speed = speed["speed"]["hybrid"], speed["speed"]["random"]
    return [
        *lines,
        "",
        f"{hybrid['formulas_per_second_a_core'] / 1e6:.1f} million bundled formulas a second on one core, "
        f"{hybrid['ratio_a_core']:,} times SMACT's {hybrid['smact_formulas_per_second']:,} in the same run "
        f"({random_speed['ratio_a_core']:,} times on random ones); with the states that work or come nearest "
        f"{hybrid['formulas_per_second_with_witness'] / 1e6:.1f} million on two.",
    ]


def constraints(content: dict[str, Any]) -> list[str]:
    lines = [
        f"| constraints ({content['sets'][0]['n']:,} samples each) | broken | formulas/s "
        f"(free: {content['unconstrained_formulas_per_second']:,}) | distinct | free draws that satisfy them |",
        "|---|---|---|---|---|",
    ]
    for row in content["sets"]:
        said = ", ".join(_said(name, value) for name, value in row["constraints"].items() if name != "rules")
        lines.append(
            f"| {said} | {row['violations']} | {row['formulas_per_second']:,} | {row['distinct']:,} | "
            f"{100 * row['kept_of_free_draws']:.2f} % |"
        )
    return lines


def _said(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name
    if isinstance(value, list):
        value = ", ".join(map(str, value)) if len(value) < 13 else f"{len(value)} elements"
    return f"{name.replace('_', ' ')} {value}"


def valid(content: dict[str, Any]) -> list[str]:
    lines = ["| known compounds | formulas | " + " | ".join(TABLE_NAMES.values()) + " |", "|---" * 7 + "|"]
    for name, shares in content["valid"].items():
        cells = [f"{percent(shares[table])} ({percent(shares[f'{table}_mixed_valence'])})" for table in TABLE_NAMES]
        lines.append(f"| `{name}` | {shares['formulas']:,} | {' | '.join(cells)} |")
    return lines


RANKINGS = {
    "training_pairs": "pairs of training compounds in which one element stands for the other",
    "frequency": "how often the element has this place in training",
    "mendeleev_number": "nearest Mendeleev number",
    "ionic_radius": "nearest Shannon radius in the parent's oxidation state",
    "chance": "chance",
}


def substitution(content: dict[str, Any]) -> list[str]:
    """Models first, then rankings without one, each by mean reciprocal rank; of pymatgen's variants the better one."""

    def row(title: str, part: dict[str, Any]) -> str:
        cells = [_with_error(part[f"recall_at_{k}"]) for k in (1, 5, 20)]
        cells.append(_with_error(part["known_ions"]["recall_at_5"]) if "known_ions" in part else "")
        rate = f"{part['queries_per_second']:,.0f}" if "queries_per_second" in part else ""
        return f"| {title} | {' | '.join(cells)} | {part['mean_reciprocal_rank']['value']:.3f} | {rate} |"

    def reciprocal(part: dict[str, Any]) -> float:
        return part["mean_reciprocal_rank"]["value"]

    tables = content["rankings"]
    state = max(("any", "same"), key=lambda state: reciprocal(tables[f"pymatgen_{state}_state"]))
    titles = RANKINGS | {f"pymatgen_{state}_state": f"pymatgen's mined substitution probability, {state} state"}
    models = {f"{part['title']} (`{name}`)": part for name, part in content["models"].items()}
    without = {titles[name]: part for name, part in tables.items() if name in titles}
    n, candidates = content["settings"]["queries"], content["candidates"]["median"]
    return [
        f"| {n:,} queries, {candidates} candidates (median) | recall at 1 | at 5 | at 20 | "
        f"at 5, {content['known_ions']:,} ions that pymatgen has | mean reciprocal rank | queries/s |",
        "|---" * 7 + "|",
        *(row(*item) for part in (models, without) for item in sorted(part.items(), key=lambda i: -reciprocal(i[1]))),
        "",
        f"{content['held_out_with_parent']:,} of the {content['held_out']:,} held-out compounds of "
        f"`{content['settings']['dataset']}` have such a parent.",
    ]


def _with_error(share: dict[str, float]) -> str:
    error = f" ± {100 * share['standard_error']:.1f}" if "standard_error" in share else ""
    return f"{100 * share['value']:.1f}{error} %"


def blank_likelihood(content: dict[str, Any]) -> list[str]:
    nats = content["mean_nats"]
    return [
        f"The sum over all orders agrees with an enumeration of them, step by step, to "
        f"{content['largest_difference_from_enumeration']:.0e} nats ({content['enumerated']} formulas) and is "
        f"{content['summed_formulas_per_second'] / content['enumeration_formulas_per_second']:.0f} times as fast. Of "
        f"{content['formulas']} held-out formulas BLMM gives {nats['summed']:.2f} nats each summed, "
        f"{nats['from 8 random orders']:.2f} from 8 random orders, and the bound that it is trained by "
        f"{nats['bound from 8 random steps']:.2f}."
    ]


def bundled(content: dict[str, Any]) -> list[str]:
    lines = [
        "| `--model` | size | trained on | nats a held-out formula | neutral | balanced | unique | novel | all three | "
        "held-out formulas recovered |",
        "|---" * 10 + "|",
    ]
    names = ("charge_neutral", "electronegativity_balanced", "unique", "novel", "valid_unique_novel")
    for name, row in content["checkpoints"].items():
        cells = [percent(row["metrics"][metric]) for metric in names]
        lines.append(
            f"| `{name}` | {row['parameters'] / 1e6:.1f} M, {row['megabytes']:.1f} MB | `{row['dataset']}` | "
            f"{row['test_nats']:.2f} | {' | '.join(cells)} | {percent(row['metrics']['recovery']['test'])} |"
        )
    return lines


def blocks() -> dict[str, list[str]]:
    """Name of each marker in the README to its lines."""
    results = {path.stem: read_json(path) for path in RESULTS.glob("*.json")}
    study = results["published"]
    return {
        "published": published(study, of_models("hybrid-pure"), "model"),
        "published_datasets": published(study, of_datasets, "dataset"),
        "recovery": recovery(study, next(iter(results["bundled"]["checkpoints"].values()))),
        "yields": yields(results["yields"]),
        "training_size": training_size(results["training_size"]),
        "time_to_loss": time_to_loss(results["time_to_loss"]),
        "main_job": main_job(results["main_job"]),
        "agreement": agreement(results["validity_agreement"], results["validity"]),
        "valid": valid(results["validity"]),
        "constraints": constraints(results["constraints"]),
        "speed": speed(results["parsing"], results["training"], results["validity"], results["streaming"]),
        "sampling": sampling(results["sampling"]),
        "substitution": substitution(results["substitution"]),
        "blank_likelihood": blank_likelihood(results["blank_likelihood"]),
        "bundled": bundled(results["bundled"]),
        "as_released": tables_predict.as_released(results["as_released"]),
        "hull": tables_predict.hull(results["hull"]),
        "predictors": tables_predict.predictors(results["predictors"]),
        "coverage": tables_predict.coverage(results["uncertainty"]),
        "stability": tables_predict.stability(results["uncertainty"]),
        "experiments": tables_predict.experiments(results["uncertainty"]),
        "conditional": tables_predict.conditional(results["conditional"]),
        "structures_coverage": tables_structures.coverage(results["structures"]),
        "relaxation": tables_relaxed.relaxation(results["relaxation"]),
        "structure_energies": tables_relaxed.structure_energies(results["structure_energies"]),
        "sun": tables_relaxed.sun(results["sun"]),
        "dft": tables_relaxed.dft(results["dft"]),
        "gpu": tables_gpu.gpu(results["gpu"]),
        "leaderboard": tables_gpu.leaderboard(results["leaderboard"]),
        "trust": tables_trust.trust(results["trust"]),
        "lift_classification": tables_lift.classification(results["lift_protocol"]),
        "lift_regression": tables_lift.regression(results["lift_protocol"]),
        "lift_materials": tables_lift.materials(results["lift_materials"]),
        "lift_pretrained": tables_lift.pretrained(results["lift_pretrained"]),
        "lift_extras": tables_lift.extras(results["lift_extras"]),
        "structures_refound": tables_structures.refound(results["structures"], results["structures_weights"]),
    }


def filled(text: str) -> str:
    """The README with every block between `<!-- NAME -->` and `<!-- /NAME -->` made anew."""
    for name, lines in blocks().items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"README.md has no block {name}")
        block = "\n".join(lines)
        text = pattern.sub(lambda match, block=block: f"{match[1]}{block}\n{match[2]}", text)
    return text


if __name__ == "__main__":
    write_text(README, filled(README.read_text(encoding="utf-8")))
