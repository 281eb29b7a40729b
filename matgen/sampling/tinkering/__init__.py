"""Tinkering with one formula: what could take the place of some of its atoms, and how probable each choice is."""
