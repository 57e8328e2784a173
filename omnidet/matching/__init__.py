"""Stage 5: Predictions + Batch -> Matches.

    Predictions + Batch -> cost.py -> matcher, per image: cost_QN -> (regions, boxes) -> Matches

To add a matcher, write one file here with a function `(cost_QN) -> (regions, boxes)` of the file's
name, and name it in a recipe.
"""

SHARED = ("config", "cost")
"""Files in this folder that are not plug-ins."""
