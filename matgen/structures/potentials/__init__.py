"""Universal interatomic potentials: the interface, the registry, CHGNet in batches, and the graphs it computes on."""
