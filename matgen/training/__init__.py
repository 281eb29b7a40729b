"""Training the composition language models."""

from matgen.models.objectives import OBJECTIVES, Objective
from matgen.training.run import TrainingPlan, train_model

__all__ = ["OBJECTIVES", "Objective", "TrainingPlan", "train_model"]
