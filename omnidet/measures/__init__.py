"""Stage 8: a detector and evaluation shards -> predictions on disk -> Metrics.

    run.predict ──rows──▶ prediction_files, one part for each rank ──▶ run.evaluate ──▶ Metrics

Each benchmark has one file, whose `Measure` has the file's name (`coco.coco`); its protocol is in
`evaluation/`. To add a benchmark, write such a file and name it in a recipe.
"""

SHARED = (
    "by_name",
    "confidence",
    "config",
    "ground_truth",
    "measure",
    "prediction_files",
    "rows",
    "run",
    "sample",
    "unseen",
)
"""Files of this folder that are not plug-ins."""
