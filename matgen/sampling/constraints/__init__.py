"""Constraints on drawn compositions: how they are written, checked, and kept by exact look-ahead."""
