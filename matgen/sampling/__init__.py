"""Drawing hypothetical compositions from a checkpoint. Names are imported when they are first asked for."""

from typing import TYPE_CHECKING

from matgen.runtime.lazy import lazily

if TYPE_CHECKING:
    from matgen.sampling.block import SampleBlock
    from matgen.sampling.constraints.definition import Constraints
    from matgen.sampling.decoders.decoding import Decoding
    from matgen.sampling.engine import Sampler
    from matgen.sampling.request import PreparedRequest, SampleRequest
    from matgen.sampling.tinkering.ranking import Tinkered, tinker, tinker_to_file
    from matgen.sampling.tinkering.request import TinkerRequest
    from matgen.sampling.writing import sample_to_file

__all__ = [
    "Constraints",
    "Decoding",
    "PreparedRequest",
    "SampleBlock",
    "SampleRequest",
    "Sampler",
    "TinkerRequest",
    "Tinkered",
    "sample_to_file",
    "tinker",
    "tinker_to_file",
]

_HOMES = {
    "Constraints": "constraints.definition",
    "Decoding": "decoders.decoding",
    "PreparedRequest": "request",
    "SampleBlock": "block",
    "SampleRequest": "request",
    "Sampler": "engine",
    "TinkerRequest": "tinkering.request",
    "Tinkered": "tinkering.ranking",
    "sample_to_file": "writing",
    "tinker": "tinkering.ranking",
    "tinker_to_file": "tinkering.ranking",
}

__getattr__ = lazily(__name__, _HOMES)
