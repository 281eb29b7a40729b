"""Teaching a checkpoint what to draw: a reward from any stage's columns, policy gradient, and a term for diversity."""

from matgen.reinforcement.expression import Expression, parse_reward
from matgen.reinforcement.plan import ReinforcementPlan
from matgen.reinforcement.run import Reinforced, reinforce

__all__ = ["Expression", "Reinforced", "ReinforcementPlan", "parse_reward", "reinforce"]
