"""Rows of the app: its page as a visitor meets it, and how long each thing takes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json

PAGES = {"before": "the earlier page", "now": "this version"}
STEPS = {
    "rows": "the first rows (10 samples)",
    "structure": "a relaxed structure",
    "cif": "its CIF from the basket",
}


def page_rows(content: Json) -> Iterator[Json]:
    """Of each page, with the rules that axe finds broken."""
    for name, title in PAGES.items():
        if page := content["pages"].get(name):
            browser = page.get("idle_share_after_work", {}).get("browser")
            broken = {"wide": _broken(page, "1280"), "narrow": _broken(page, "390")}
            yield {**page, "title": title, "browser": browser, **broken}


def time_rows(content: Json) -> Iterator[Json]:
    """Of each step and page."""
    for name, step in STEPS.items():
        for title, page in _pages(content):
            figures = {
                f"{time}_{unit}": page[time][key][name]
                for time in ("first", "second")
                for unit, key in (("s", "seconds"), ("cpu_s", "processor_seconds"))
            }
            yield {"step": step, "title": title, **figures}


def loads(content: Json) -> str:
    """What else the machine did, in a sentence."""
    loads = [load for _, page in _pages(content) for time in ("first", "second") for load in page[time]["load_average"]]
    formulas = sorted({page[time]["formula"] for _, page in _pages(content) for time in ("first", "second")})
    return (
        f"The structure is of {', '.join(formulas)}. The machine did other work meanwhile (load average "
        f"{min(loads):.0f} to {max(loads):.0f} on {content['machine']['cores']} cores): compare the processor time."
    )


def _pages(content: Json) -> Iterator[tuple[str, Json]]:
    for name, title in PAGES.items():
        if "second" in content["pages"].get(name, {}):
            yield title, content["pages"][name]


def _broken(page: Json, width: str) -> str:
    found = page["axe"][width]
    return ", ".join(f"{rule} (serious)" if rule in found["serious"] else rule for rule in found["rules"]) or "none"
