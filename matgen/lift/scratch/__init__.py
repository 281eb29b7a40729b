"""LIFT by a small language model trained from scratch on the table itself."""
