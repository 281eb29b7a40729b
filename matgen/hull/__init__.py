"""How far above the convex hull of competing phases a composition lies, from labeled compositions of one source."""

from matgen.hull.phases import OUTLIER_ENERGY, SOURCES, CompetingPhases, Decomposition

__all__ = ["OUTLIER_ENERGY", "SOURCES", "CompetingPhases", "Decomposition"]
