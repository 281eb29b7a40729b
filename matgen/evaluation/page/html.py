"""A report to read: Markdown, and one HTML page that needs nothing beside it and no network.

The page is a Jinja template with every text escaped; only what this package draws itself (figures, style, script) goes
in as it is. Style sheet, script and templates are the files in `templates/`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from matgen.evaluation.labels import KNOWN_RATES, METRICS
from matgen.evaluation.metrics import wilson
from matgen.evaluation.page import figures as page_figures
from matgen.evaluation.page import opening
from matgen.evaluation.page import structures as page_structures
from matgen.evaluation.page import tables as page_tables
from matgen.evaluation.page.assets import asset, environment
from matgen.evaluation.page.candidates import PAGE_ROWS, candidates
from matgen.evaluation.page.card import CARD_SCRIPTS, CARD_STYLE, cards_html
from matgen.evaluation.page.markdown import markdown
from matgen.evaluation.page.ranking_table import ranking_table
from matgen.evaluation.page.structures import StructureSection

__all__ = ["Card", "html", "markdown", "render"]

_SYSTEMS = 15
_RANKED = 25
_CARDS = (
    "valid_unique_novel",
    "valid",
    "balanced_common",
    "electronegativity_balanced",
    "charge_neutral",
    "unique",
    "novel",
)


@dataclass(frozen=True)
class Card:
    """One number to read at a glance.

    Attributes:
        title: what it is.
        value: in percent, as text.
        unit: what it is a share of.
        details: lines below: interval, baseline, counts.
        meaning: one sentence.
        bounds: 95 % interval as fractions, or None.
        baseline: strongest random baseline, or None.
        gauge: draw interval and baseline on a scale from 0 to 1.
        chief: set it apart.
    """

    title: str
    value: str
    unit: str
    details: list[str]
    meaning: str
    bounds: tuple[float, float] | None = None
    baseline: float | None = None
    gauge: bool = True
    chief: bool = False


def html(
    content: Mapping[str, Any],
    frame: pd.DataFrame,
    ranked: pd.DataFrame | None = None,
    structures: StructureSection | None = None,
    links: Mapping[str, Sequence[tuple[str, str]]] | None = None,
) -> str:
    """The report as one self-contained page; every text is escaped.

    Args:
        content: of `report.json`.
        frame: the judged candidates, or the first of them; `content["n"]` says how many there are.
        ranked: the order in which to look at those that were predicted, None where none were.
        structures: what is known of crystal structures, None where nothing is.
        links: labels and addresses of files beside the report, by reduced formula.
    """
    links = links or {}
    known = ranked is not None and not ranked["energy_above_hull"].isna().all()
    crystals = {} if structures is None else opening.crystals_by_formula(structures)
    first = opening.cards(content, frame, ranked, structures, links)
    return render(
        "report.html",
        more_styles=(CARD_STYLE,),
        more_scripts=CARD_SCRIPTS if any(card.crystal for card in first) else CARD_SCRIPTS[1:],
        structures=None if structures is None else _structure_values(structures),
        content=content,
        headline=opening.headline(content),
        lead=opening.lead(content, ranked),
        cards_title=_cards_title(ranked, structures),
        first_cards=cards_html(first[: opening.FIRST]) if first else "",
        more_cards=cards_html(first[opening.FIRST :]) if len(first) > opening.FIRST else "",
        n_more_cards=len(first[opening.FIRST :]),
        cards=[*_metric_cards(content), *_recovery_cards(content)],
        curves=page_figures.curves(content),
        maps=page_figures.maps(content),
        bars=page_figures.bars([("generated", content["distributions"]), ("reference", content["distributions"])], 1),
        tables={
            "curves": page_tables.curve_rows(content),
            "distributions": page_tables.distribution_rows(content),
            "by_n_elements": page_tables.n_elements_rows(content),
            "groups": page_tables.group_rows(content),
            "recovery": page_tables.recovery_rows(content),
            "references": page_tables.reference_rows(content),
            "baselines": page_tables.baseline_rows(content),
            "known_rates": page_tables.known_rate_rows(content),
            "systems": page_tables.system_rows(content, 0, _SYSTEMS),
            "more_systems": page_tables.system_rows(content, _SYSTEMS),
            "bad": page_tables.bad_rows(content),
        },
        known_rates_note=page_tables.known_rates_note(content),
        baseline_notes=page_tables.baseline_notes(content),
        near_duplicates=page_tables.near_duplicate_sentence(content),
        memorization=page_tables.memorization_sentence(content),
        ranking=page_figures.ranking(ranked) if known and ranked is not None else None,
        ranked=ranking_table(ranked, crystals, links) if ranked is not None else None,
        ranked_rows=_RANKED,
        candidates=candidates(frame, content["n"]),
        page_rows=PAGE_ROWS,
        protocol=page_tables.protocol_rows(content),
    )


def _cards_title(ranked: pd.DataFrame | None, structures: StructureSection | None) -> str:
    if ranked is not None and len(ranked):
        return "First candidates"
    return "Candidates with a structure" if structures is not None else "Some valid, new candidates"


def render(template: str, *, more_styles: Sequence[str] = (), more_scripts: Sequence[str] = (), **values: Any) -> str:
    """A page from a template, with the style sheets, the scripts and their hashes for the security policy."""
    scripts = [asset(name) for name in (*more_scripts, "page.js")]
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    page = environment().get_template(template)
    return page.render(
        style=Markup("\n".join(asset(name) for name in ("page.css", *more_styles))),
        scripts=[Markup(script) for script in scripts],
        script_hash=Markup(hashes),
        **values,
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _structure_values(section: StructureSection) -> dict[str, Any]:
    return {
        "sentence": page_structures.sentence(section.content),
        "shares": page_structures.share_rows(section.content),
        "potentials": page_structures.potential_rows(section.content),
        "anions": page_structures.anion_rows(section.content),
        "failures": page_structures.failure_rows(section.content),
        "heads": section.heads,
        "rows": section.rows(),
    }


def _metric_cards(content: Mapping[str, Any]) -> list[Card]:
    cards = []
    for name in _CARDS:
        label = METRICS[name]
        bounds = content["intervals"].get(name)
        baseline, times = content["baseline"].get(name), content["enrichment"].get(name)
        details = ["no interval: falls as rows are added"] if bounds is None else [f"95 % interval {_range(*bounds)}"]
        if baseline is not None:
            details.append(f"best random {_headline_percent(baseline)} %")
        if times:
            details.append(f"enrichment {times:.1f} times")
        known = {which: rates.get(name) for which, rates in content["known_rates"].items()}
        details += [
            f"{KNOWN_RATES[which].title.lower()} {_headline_percent(rate)} %"
            for which, rate in known.items()
            if rate is not None
        ]
        cards.append(
            Card(
                label.title,
                _headline_percent(content[name]),
                f"% {label.unit}",
                details,
                f"{page_figures.sentence(label.meaning)}.",
                bounds,
                baseline,
                chief=name == "valid_unique_novel",
            )
        )
    return cards


def _recovery_cards(content: Mapping[str, Any]) -> list[Card]:
    cards = []
    for part, label in page_tables.PARTS.items():
        recovered = content["counts"]["recovery"][part]
        value = content["recovery"][part]
        shown, details = (
            ("-", [])
            if value is None
            else (
                _headline_percent(value),
                [f"95 % interval {_range(*wilson(recovered['found'], recovered['of']))}"],
            )
        )
        details.append(f"{recovered['found']:,} of {recovered['of']:,} compositions")
        meaning = f"{page_figures.sentence(label.meaning)}, found again."
        cards.append(Card(label.title, shown, f"% {label.unit}", details, meaning, gauge=False))
    return cards


def _range(low: float, high: float) -> str:
    digits = 1 if high - low > 0.002 and high > 0.01 else 2 if high > 0.001 else 3
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f} %"


def _headline_percent(value: float) -> str:
    """A fraction in percent, with three significant digits, to be read at a glance."""
    if 0 < value < 0.0001:
        return f"{100 * value:.1e}"
    digits = 1 if value >= 0.1 or value == 0 else 2 if value >= 0.01 else 3
    return f"{100 * value:.{digits}f}"
