"""Backbones: images -> tokens on a grid. One kind per file; a recipe's `model.backbone` names it.

A file holds the settings of its kind, a frozen dataclass that implements `BackboneConfig` of
`model/config.py`; its `build` makes the module, a `Backbone` of `model/backbone.py`. The rest of
the detector knows only that interface: tokens, their stride and width, and parameters by depth.

The files import torch inside `build`, so that recipes can be read without it. What the vision
transformers have in common is in `model/vit.py`.
"""
