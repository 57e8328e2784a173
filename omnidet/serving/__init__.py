"""A detector over HTTP: the optional extra `serve`.

    HTTP ──server──▶ body ──requests──▶ Question ──service──▶ OmniDet.detect ──answers──▶ JSON

`config.py` holds the limits; it needs none of the extra's packages.
"""
