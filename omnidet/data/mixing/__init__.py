"""Stage 3: shards -> Batch. Batch number i is a pure function of the seed and i.

order + prefetch ──▶ mixture (transforms) ──▶ label_space + negatives ──▶ Batch ──▶ workers
"""
