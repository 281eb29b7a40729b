"""What `import matgen` offers, for type checkers; `__init__.py` imports the same when it is used."""

from matgen.api.candidates import Candidates as Candidates
from matgen.api.generation import sample as sample
from matgen.api.generation import score as score
from matgen.api.generation import tinker as tinker
from matgen.api.judgment import check as check
from matgen.api.judgment import evaluate as evaluate
from matgen.api.judgment import predict as predict
from matgen.api.judgment import rank as rank
from matgen.api.judgment import screen as screen
from matgen.api.pipeline import discover as discover
from matgen.api.pipeline import make_structures as make_structures
from matgen.composition.alloys import from_weight_percent as from_weight_percent
from matgen.composition.batch import CompositionBatch as CompositionBatch
from matgen.composition.batch import parse_formulas as parse_formulas
from matgen.datasets import Dataset as Dataset
from matgen.datasets import load_dataset as load_dataset
from matgen.errors import MatgenError as MatgenError
from matgen.evaluation import Report as Report
from matgen.models import load_checkpoint as load_checkpoint
from matgen.prediction import (
    Predictor as Predictor,
)
from matgen.prediction import (
    PropertyClassifier as PropertyClassifier,
)
from matgen.prediction import (
    PropertyRegressor as PropertyRegressor,
)
from matgen.sampling import (
    Constraints as Constraints,
)
from matgen.sampling import (
    Decoding as Decoding,
)
from matgen.sampling import (
    Sampler as Sampler,
)
from matgen.sampling import (
    SampleRequest as SampleRequest,
)
from matgen.sampling import (
    sample_to_file as sample_to_file,
)
from matgen.sampling import (
    tinker_to_file as tinker_to_file,
)
from matgen.training import TrainingPlan as TrainingPlan
from matgen.training import train_model as train_model
from matgen.validity import ValidityRules as ValidityRules
from matgen.validity import explain as explain

__version__: str
