"""LIFT by language models that know language already: SmolLM2, or any causal language model."""
