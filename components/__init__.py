"""The steps on a cluster: one file per KFP step, each a thin body over `omnidet.steps`.

`run/` holds what the bodies call, `trainjob/` what starts and watches a training on several nodes.

To add a step, write one function in `omnidet/steps/`, one file here, and name it in a pipeline.
"""
