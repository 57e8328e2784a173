"""A detector over HTTP: the optional extra `serve`.

request ──requests──▶ images, phrases ──server──▶ OmniDet.detect ──requests──▶ answer
"""
