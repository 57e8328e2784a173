"""What the model is worth: boxes and words compared with what people drew.

    Predictions -> detections (image, category, box, score) -> coco | lvis -> Metrics
                -> best box for each phrase                  -> refcocog    -> Metrics
                -> ranked boxes for each phrase              -> flickr30k   -> Metrics

Every `Metrics` carries its protocol, to be printed beside the numbers. COCO and LVIS:

    file -> truth, rows -> detections -> judging (right or wrong) -> average_precision -> coco | lvis, with resampling

are counted in arrays, in bounded memory, and equal the official code (`official.py`) to the last digit.
To add a benchmark, write one file here with `evaluate(...) -> Metrics` that names its protocol, and name it in the recipe.
"""
