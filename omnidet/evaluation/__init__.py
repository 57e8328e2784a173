"""Stage 8: how good the detections are, compared with what people drew.

    detections (image, category, box, score) -> coco | lvis -> Metrics
    best box for each phrase                 -> refcocog    -> Metrics
    ranked boxes for each phrase             -> flickr30k   -> Metrics
    scores of true and absent names          -> absent      -> Metrics

Every `Metrics` carries its protocol, which is printed with the numbers. COCO and LVIS are counted
in arrays, in bounded memory, and equal the official code (`official.py`) to the last digit:

    annotation file -> truth ──┐
    rows ----------> detections ┴─> judging (right or wrong) -> average_precision, with resampling

To add a benchmark, write its protocol here, as one file with `evaluate(...) -> Metrics`, and the
file in `measures/` that asks a detector for what the protocol needs.
"""
