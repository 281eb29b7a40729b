"""Drawing hypothetical compositions from a checkpoint."""

from matgen.sample.engine import Decoding, SampleBlock, Sampler
from matgen.sample.write import SampleRequest, sample_to_file

__all__ = ["Decoding", "SampleBlock", "SampleRequest", "Sampler", "sample_to_file"]
