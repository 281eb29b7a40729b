"""Classification and regression by language models, as scikit-learn's estimators.

They write the rows of a table as sentences, train a language model to complete them and constrain what it writes by a
grammar, so that every prediction is a label or a number (Dinh et al., "LIFT: Language-Interfaced Fine-Tuning for
Non-Language Machine Learning Tasks", NeurIPS 2022; there, completions that cannot be read become the training mean).
"""
