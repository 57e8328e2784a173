"""The pipelines, and what compiles, submits, schedules and runs them: `python -m pipelines --help`.

    configure ─▶ download ─▶ draw_world ─▶ plan_shards ─▶ build_shard_sets ─▶ merge_shards ─┐
                                                                                            │
    register ◀─ yes ─ gate ◀─ evaluate ◀─ train (pod, or a TrainJob) ◀─ build_vocabulary ◀──┘

To add a step, write its component in `components/` and name it in a pipeline here.
"""
