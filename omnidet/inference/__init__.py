"""Stage 9: checkpoint + image + words -> detections.

OmniDet.from_pretrained(folder).detect(image, phrases) -> Detections
benchmarks.run(detector, shards, ...) -> numbers, and rows on disk (prediction_files) for the report
"""
