"""Stage 9: detector + images + words -> detections.

    images ──pictures──▶ pixels ──model──▶ regions ─┐
    phrases ──question, vocabulary──▶ Prompt ───────┴─search──▶ Detections ──drawing──▶ picture

`OmniDet` of `detector.py` is the whole of it, and what `from omnidet import OmniDet` gives.
"""
