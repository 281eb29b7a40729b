"""The calls of `import matgen`, as the verbs of the command line have them: the same words, the same defaults.

They take formulas in any form and give tables, reports and structures in memory. `matgen` imports them when first used.
"""
