"""Training the composition language models."""

from matgen.models.objectives import OBJECTIVES, Objective
from matgen.training.plan import TrainingPlan, default_settings
from matgen.training.run import train_model

__all__ = ["OBJECTIVES", "Objective", "TrainingPlan", "default_settings", "train_model"]
