"""A small drawn world in the file formats of the real datasets, for the demo and the tests.

sprites (shapes) ─▶ scenes (where they are) ─▶ words, expressions (what is said of them)
                                                    │
draw ─▶ coco_files, lvis_files, refcocog_files, flickr30k_files, web_files (with faults) ─▶ folder
"""
