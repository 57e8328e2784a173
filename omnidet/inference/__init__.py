"""Stage 9: checkpoint + image + words -> detections.

OmniDet.from_pretrained(folder).detect(image, phrases) -> Detections
benchmarks.run(detector, shards, ...) -> Metrics and samples for the report
"""
