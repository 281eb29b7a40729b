"""The machine under a run: its cores, the processes of a launch, progress bars, compiled kernels."""
