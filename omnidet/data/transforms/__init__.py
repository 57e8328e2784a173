"""Example -> Example: decode, crop, flip, resize. Boxes and the words left and right follow the
picture.

One transform per file, named after it: a function `(Example, random) -> Example`, a frozen
dataclass with that call, or a `Combination` that makes one picture of several.

To add one, write a file here and name it in a recipe's stream. What it must keep: a phrase still
names what it named; a name of which a part is no longer seen or boxed gives no negatives
(`not_exhaustive`); nothing is claimed about what is unknown.
"""

SHARED = ("decode", "example", "letterbox")
"""Files of this folder that are no plug-ins."""
