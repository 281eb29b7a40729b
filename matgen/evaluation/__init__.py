"""Judging candidates: validity, uniqueness, novelty, recovery, random baselines, and the report of them all.

Names are imported when they are first asked for: what explains one formula needs none of the report.
"""

from typing import TYPE_CHECKING

from matgen.runtime.lazy import lazily

if TYPE_CHECKING:
    from matgen.evaluation.report import Report, evaluate

__all__ = ["Report", "evaluate"]

__getattr__ = lazily(__name__, {"Report": "report", "evaluate": "report"})
