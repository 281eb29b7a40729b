"""Side-by-side measurements; each writes JSON under `benchmarks/results/`, from which the README tables are made."""
