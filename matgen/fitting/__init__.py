"""Fitting any network: the loop, its resumable state, optimizers, and batches of examples of like length."""
