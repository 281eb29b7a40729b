"""How far above the convex hull of competing phases a composition lies, from labeled compositions of one source."""

from matgen.hull.phases import CompetingPhases, Decomposition, hull_distances

__all__ = ["CompetingPhases", "Decomposition", "hull_distances"]
