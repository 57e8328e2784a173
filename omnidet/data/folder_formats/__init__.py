"""Annotation files -> sheets; one file a format.

    read(folder: Folder) -> Found | None        None: the folder has none of it

To add one, write a file here with `read` and name it in `formats.FORMATS`, whose row says what is
read and what is not.
"""
