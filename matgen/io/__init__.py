"""Files: written whole or not at all, one run at a time, checked by SHA-256; Parquet, weights, result tables."""
