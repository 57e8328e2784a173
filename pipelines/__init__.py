"""The pipelines, and what submits, schedules, compiles and runs them: `python -m pipelines --help`.

    configure ─▶ draw_world ─▶ plan_shards ─▶ build_shard_set (each set) ─▶ merge_shards ─▶ build_vocabulary
                                                                                                  │
                        register ◀── yes ── gate ◀── evaluate ◀── train (pod, or TrainJob) ◀──────┘

To add a step, write its component in `components/` and name it in a pipeline here.
"""
