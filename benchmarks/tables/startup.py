"""Rows of start-up: processor time of short commands, and as a ratio to what they cannot do without."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json

DRAWING = "sample -n 10000"


def command_rows(content: Json) -> Iterator[Json]:
    """Of each command, the longest last; those that import no torch are compared with numpy."""
    now, before, imports = content["median"]["now"], content["median"].get("before", {}), content["median"]["imports"]
    for title, seconds in sorted(now.items(), key=lambda one: one[1]):
        if title == "the draw":
            continue
        draws = title == DRAWING
        own = seconds - now["the draw"] if draws else seconds
        base = "torch" if draws else "numpy"
        ratio = f"{own / imports[f'import {base}']:.2f} `import {base}`" + " (without the draw)" * draws
        earlier = f"{before[title]:.2f} s" if title in before else "-"
        yield {"title": f"`matgen {title}`", "before": earlier, "now": seconds, "ratio": ratio}


def explanation(content: Json) -> str:
    """How it was measured, in a few sentences."""
    median, loads, cores = content["median"], content["load_average"], content["machine"]["cores"]
    numpy, torch = (median["imports"][f"import {name}"] for name in ("numpy", "torch"))
    return (
        f"User time of a process, median of {content['rounds']} in turns; a Python that imports numpy takes "
        f"{numpy:.2f} s, one that imports torch {torch:.2f} s, and the draw of 10,000 compositions by itself "
        f"{median['now']['the draw']:.2f} s. "
        f"The machine did other work meanwhile (load average {loads[0]:.0f} to {loads[1]:.0f} on {cores} cores), which "
        "makes all of them longer: compare the ratios."
    )


def job_rows(content: Json) -> Iterator[Json]:
    """A first run, with an empty cache, and a second."""
    for run, ratio in content["ratio"].items():
        yield {
            "title": f"{run} run",
            "ratio": ratio,
            **{name: content["runs"][name][run] for name in ("before", "now")},
        }


def draws_alike(content: Json) -> str:
    before, now = (content["runs"][name]["second"]["sha256_of_draws"] for name in ("before", "now"))
    return "Both draw the same compositions." if before == now else "They draw different compositions."


def job_stages(content: Json) -> str:
    before, now = (content["runs"][name]["second"]["stages"] for name in ("before", "now"))
    return ", ".join(f"{name} {before[name]:.0f} and {now[name]:.0f} s" for name in now if name in before)
