"""LIFT by a small language model trained from nothing on the table itself."""
