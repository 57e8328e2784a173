"""A small drawn world in the file formats of the real datasets: what the demo and the tests train on.

scenes (shapes and their places) ──▶ words (names, expressions, captions) ──▶ coco_files + draw ──▶ folder
"""
