"""A folder that somebody annotated -> one layout, whatever tool wrote it.

    Folder --readers/*--> Sheets --assemble--> Annotated --cut--> Cut --write--> one layout
      │                      │                    │
    lookup (the picture    units (pixels or     Account (every picture, annotation and box:
    that is meant)         shares?)             kept, or left out by reason)

The layout is what `data/sources/annotated.py` reads. To add a format, write a file in `readers/`
with a function `read(folder) -> Found | None` and name it in `formats.FORMATS`.
"""
