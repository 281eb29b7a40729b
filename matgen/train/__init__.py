"""Training the composition language models."""

from matgen.train.objectives import OBJECTIVES, Objective
from matgen.train.run import TrainingPlan, train_model

__all__ = ["OBJECTIVES", "Objective", "TrainingPlan", "train_model"]
