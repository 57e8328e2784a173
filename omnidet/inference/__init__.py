"""Stage 9: detector + image + words -> detections.

OmniDet.from_pretrained(folder).detect(images, phrases) -> Detections, through the exact search of
`search.py`
"""
