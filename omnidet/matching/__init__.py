"""Stage 5: Predictions + Batch -> Matches.

     Predictions + Batch -> cost (one place) -> matcher: cost_QN -> (region, box), for each image -> Matches

To add a matcher, write one file here with a function `(cost_QN) -> (regions, boxes)` and name it in a recipe.
"""

SHARED = ("config", "cost")
"""Files of this folder that are no plug-ins."""
