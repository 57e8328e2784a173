"""Example -> Example: what a recipe may do to its pictures beyond `transforms.py`, one augmentation a file.

To add one, write a file here with a function or a frozen dataclass `(Example, random) -> Example` (or a `Combination` of
several), and name it in the recipe's stream. What it must keep: a phrase still names what it named; a name of which a part is
no longer seen or boxed gives no negatives (`not_exhaustive`); nothing is said of what is unknown.
"""
