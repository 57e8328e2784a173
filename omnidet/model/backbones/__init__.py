"""Backbones: images -> tokens on a grid. One kind per file, named in the recipe as `model.backbone`.

A file holds the settings of its kind, a frozen dataclass that follows `BackboneConfig` of
`model/config.py`; its `build` makes the module, a `Backbone` of `model/backbone.py`. The rest of the
detector knows only what that gives: tokens, their stride and width, and parameters by depth.

The files import torch where they build, so that recipes can be read without it; what the kinds are
made of is in `model/vit.py`.
"""
