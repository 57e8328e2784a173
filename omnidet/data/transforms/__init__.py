"""Example -> Example: decode, crop, flip, resize. Boxes and the words left and right follow.

One transform per file, named after it: a function `(Example, random) -> Example`, a frozen
dataclass that is called in the same way, or a `Combination` that makes one image of several.

To add one, write a file here and name it in a stream of a recipe. A transform must keep three
things: a phrase still names what it named; a name gives no negatives (`not_exhaustive`) if part of
what it names has lost its box; and nothing is claimed about what is unknown.
"""

SHARED = ("decode", "example", "letterbox")
"""Files in this folder that are not plug-ins."""
