"""What a reinforced checkpoint says of itself: `matgen.json` and the model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matgen.models.registry import architecture

if TYPE_CHECKING:
    from matgen.fitting.state import FitState
    from matgen.reinforcement.plan import ReinforcementPlan
    from matgen.reinforcement.reward import Reward

_LAST = 10
"""Steps over which the figures at the end are averaged."""
_OF_STEPS = ("reward", "shared", "kl", "entropy", "unique", "chemical_systems", "in_domain", "earning")
_OF_TRAINING = ("figure", "valid_nats", "test_nats", "best_step", "stopped_early", "formulas_per_second")
"""Metrics of the start's training that do not hold of the reinforced model."""


def reinforced_metadata(
    start: dict[str, Any],
    plan: ReinforcementPlan,
    name: str,
    weights: str,
    reward: Reward,
    state: FitState,
) -> dict[str, Any]:
    """The content of `matgen.json`: that of the start, and how it was reinforced.

    Args:
        start: the start's own.
        plan: of the run.
        name: of the start's folder.
        weights: SHA-256 of the start's weights.
        reward: by which.
        state: at the end.
    """
    columns = reward.columns
    predicted = columns.predicted
    first, last = state.history[0], state.history[-_LAST:]
    figures = {key: round(sum(entry[key] for entry in last) / len(last), 5) for key in _OF_STEPS}
    reinforcement = {
        "start": name,
        "start_sha256": weights,
        "start_reinforcement": start.get("reinforcement"),
        "reward": plan.reward,
        "veto": "in_domain" if reward.veto else None,
        "predictors": None if predicted is None else predicted.describe(),
        "reference": columns.references,
        "steps": state.step,
        "batch_size": plan.batch_size,
        "learning_rate": plan.learning_rate,
        "kl": plan.kl,
        "diversity": plan.diversity,
        "conditions": list(plan.conditions),
        "seed": plan.seed,
        "average": plan.average,
        "before": {key: first[key] for key in _OF_STEPS},
        "after": figures,
    }
    kept = {key: value for key, value in start["metrics"].items() if key not in _OF_TRAINING}
    metrics = kept | {"steps": state.step, "seconds": round(state.seconds, 1)} | figures
    without = {key: value for key, value in start.items() if key not in ("files", "versions")}
    return without | {"init": name, "metrics": metrics, "reinforcement": reinforcement}


def reinforced_card(metadata: dict[str, Any]) -> str:
    """Markdown with a Hub header, made from the content of `matgen.json`."""
    row, how = architecture(metadata["architecture"]), metadata["reinforcement"]
    before, after = how["before"], how["after"]
    figures = "\n".join(f"| {name.replace('_', ' ')} | {before[name]:.4g} | {after[name]:.4g} |" for name in _OF_STEPS)
    judged = "" if how["predictors"] is None else f", predicted by {how['predictors']}"
    averaged = (
        ""
        if how["average"] == 1
        else f"""
They are of the run itself. The weights here are {how["average"]:g} of those at its end and
{1 - how["average"]:g} of the start's."""
    )
    return f"""---
library_name: transformers
license: mit
tags: [materials-science, inorganic-compositions, matgen]
---

# {row.title} reinforced by a reward

The checkpoint `{how["start"]}`, a language model of inorganic compositions, reinforced by matgen
({how["steps"]:,} steps of {how["batch_size"]:,} draws) towards

```
{how["reward"]}
```

{"Outside of the predictors' domain nothing was earned" if how["veto"] else "Domains were no veto"}{judged}.

| of the draws | first step | last {_LAST} steps |
|---|---|---|
{figures}

`kl` and `entropy` are in nats a draw; the others are means or shares of the draws.{averaged}

## Use

```
matgen sample -n 10000 --model <this folder> --out candidates.csv
```

## Limits

It writes what a predictor rewards, and a predictor can be wrong in the same way each time: relax what it proposes
before you believe it. It has seen formulas only: no structure, temperature or pressure. Formulas of OQMD and the
Materials Project, from which its start learned, are CC-BY 4.0; their authors ask to be cited.
"""
