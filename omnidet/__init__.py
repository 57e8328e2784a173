"""OmniDet: an open-vocabulary object detector trained in one pass.

     dataset files                                                       model registry
          |                                                                    ^
       sources --Record--> held_out --Record--> shards --tar--> transforms -> mixing      | registry
                                                  |                             |         |
                                             vocabulary -----token ids--------->|      Metrics <- evaluation
                                                                             Batch        ^          ^
                                                                               v          |          |
                                                     losses <-Matches- matching <-Predictions- model-+
                                                        | LossTerm                                   |
                                                        v                                            v
                                                    training --checkpoint-->                     inference

Read `schema.py` next: it holds every type that crosses an arrow. Each folder is a stage, each stage is
a function from one of those types to the next, `recipes/` picks the parts and `steps/` runs them.
"""

__version__ = "0.1.0"
