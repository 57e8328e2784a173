"""Stage 7: LossTerm -> checkpoint.

Batch -> model -> match -> losses -> objective -> backward -> clip -> step -> average
                                     (divides by the counts              |
                                      of all ranks)                      +-> metrics.jsonl,
                                                                             checkpoints

loop.py reads top to bottom; DDP and FSDP2 appear only in distributed.py.
"""
