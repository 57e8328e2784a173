"""Stage 8: a detector and evaluation shards -> predictions on disk -> Metrics.

measure.predict ──rows──▶ prediction_files (one part per rank) ──▶ measure.judge ──▶ Metrics, by the protocols of evaluation/
"""
