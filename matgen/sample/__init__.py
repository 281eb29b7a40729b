"""Drawing hypothetical compositions from a checkpoint."""

from matgen.sample.constraints import Constraints
from matgen.sample.decoding import Decoding
from matgen.sample.engine import SampleBlock, Sampler
from matgen.sample.tinker import Tinkered, tinker, tinker_to_file
from matgen.sample.tinker_request import TinkerRequest
from matgen.sample.write import SampleRequest, sample_to_file

__all__ = [
    "Constraints",
    "Decoding",
    "SampleBlock",
    "SampleRequest",
    "Sampler",
    "TinkerRequest",
    "Tinkered",
    "sample_to_file",
    "tinker",
    "tinker_to_file",
]
