"""The tables of README.md and docs/, made from the JSON under `benchmarks/results/`: `python -m benchmarks.tables`."""
