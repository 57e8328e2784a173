"""A folder that somebody annotated -> one layout, whatever tool wrote it.

    COCO json | YOLO txt | Pascal VOC xml  --find-->  Annotated  --write-->  annotations/*.json  images/  summary.json

The layout is what `data/sources/annotated.py` reads. To add a format, write a file here with a function
`find(root) -> Annotated | None` and name it in `find.FORMATS`.
"""
