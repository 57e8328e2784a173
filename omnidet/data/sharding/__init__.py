"""Stage 2: sources -> a shard folder.

config ─▶ plan_file ─▶ build ──Piece──▶ pieces (parallel) ──Record──▶ held_out + quarantine
                                                                               │
survey ◀── index ◀── finish ◀───────────────── shards ◀────────────────────────┘
"""
