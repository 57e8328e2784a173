"""Stage 2: sources -> a shard folder.

plan_file ──▶ build ──Piece──▶ pieces (parallel) ──Record──▶ held_out + quarantine ──▶ shards ──▶ index ──▶ survey
"""
