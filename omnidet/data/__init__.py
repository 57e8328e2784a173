"""Stages 1 to 3: files -> Record -> shards -> Batch.

    download ──files──▶ sources ──Record──▶ sharding ──tar──▶ shards ──▶ mixing ──Batch──▶
                           ▲                                   │ ▲          ▲ transforms
    annotated, tiny_world ─┘                       web_images ─┼─┘          │
                                                               └─words─▶ vocabulary

Every room may use `reading`, which knows no dataset. `shard_cache` keeps shards of an object store
at hand.
"""
