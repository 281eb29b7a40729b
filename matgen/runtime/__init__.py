"""The machine under a run: its cores, the processes of a launch, workers, progress bars, compiled kernels."""
