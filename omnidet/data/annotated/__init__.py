"""A folder that somebody annotated -> one layout, whatever tool wrote it.

    Folder --folder_formats/*--> Sheets --assemble--> Annotated --cut--> Cut --write--> one layout
                                   |                     |
                       units (pixels or shares?)    Account (every picture, annotation and box:
                                                    kept, or left out by reason)

The layout is what `data/sources/annotated.py` reads. To add a format, write a file in
`data/folder_formats/` with a function `read(folder) -> Found | None` and name it in
`formats.FORMATS`.
"""
