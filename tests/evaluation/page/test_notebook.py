from __future__ import annotations

import re

from matgen.evaluation.page.heatmap import share_map
from matgen.evaluation.page.notebook import in_notebook
from matgen.evaluation.page.svg import scatter


def test_a_figure_brings_every_color_that_it_takes_from_the_page() -> None:
    drawing = scatter("title", [0.1, 0.2], [1.0, 2.0], ["NaCl", "KBr"], "x", "y")
    shown = in_notebook(drawing, share_map("title", {"Na": 0.5}, "all", 0.5))
    taken = set(re.findall(r"var\((--[\w-]+)\)", shown))
    assert taken and all(f"{name}:" in shown for name in taken)
    assert ".periodic text { text-anchor: middle; }" in shown
    assert in_notebook() == ""
