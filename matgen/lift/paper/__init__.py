"""What the LIFT paper measures: its tables, its protocol, the usual methods beside it, and its published scores."""
