"""Stages 1 to 3: files -> Record -> shards -> Batch.

sources/ ---Record---> held_out + quarantine ---Record---> shards ---tar---> transforms ---> mixing ---Batch--->
                                                              |                                 ^
                                                              +---words---> vocabulary ---------+
"""
