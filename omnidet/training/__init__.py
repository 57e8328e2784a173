"""Stage 7: LossTerm -> checkpoint.

Batch -> model -> match -> losses -> objective (divides, over all ranks) -> backward -> clip -> step -> average
                                                                               |
loop.py reads top to bottom; DDP appears only in distributed.py               +-> metrics.jsonl, checkpoints
"""
