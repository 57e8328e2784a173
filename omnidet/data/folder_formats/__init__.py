"""Annotation files of somebody's folder -> sheets; one file for each format.

    folder (walk, splits) + lookup (the picture that is meant) --> read(folder) --> Found | None
                                                                        |
                                                   sheets: what was written, nothing judged yet

None means that the folder has none of the format. To add one, write a file here with `read` and
name it in `annotated/formats.py`, whose row says what is read and what is not.
"""
