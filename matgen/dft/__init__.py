"""Inputs for density-functional codes, running the codes that are installed, and what came out."""
