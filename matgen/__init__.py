"""matgen: from known inorganic compounds to new, valid, likely stable compositions."""

__version__ = "0.1.0"
