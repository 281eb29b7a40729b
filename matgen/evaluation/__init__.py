"""Judging candidates: validity, uniqueness, novelty, recovery, random baselines, and the report of them all."""

from matgen.evaluation.report import Report, evaluate

__all__ = ["Report", "evaluate"]
