"""Compositions in batches: read, written, keyed and grouped by the whole array.

`CompositionBatch` (in `batch`) is the backbone of matgen. `elements` holds the elements' properties, `parser` reads
formulas exactly, `parser_kernel` and `sequence_kernel` do the common cases compiled, `keys` looks compositions up,
`groups` names sets of elements.
"""
