"""Drawing hypothetical compositions from a checkpoint."""

from matgen.sample.constraints import Constraints
from matgen.sample.decoding import Decoding
from matgen.sample.engine import SampleBlock, Sampler
from matgen.sample.write import SampleRequest, sample_to_file

__all__ = ["Constraints", "Decoding", "SampleBlock", "SampleRequest", "Sampler", "sample_to_file"]
