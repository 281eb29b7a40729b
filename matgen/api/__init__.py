"""The calls of `import matgen`, one for each verb of the command line: the same words, the same defaults.

They take formulas in any form and give tables, reports and structures in memory. `matgen` imports them when first used.
"""
