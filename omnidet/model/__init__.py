"""Stage 4: images -> Predictions.

     images -> backbone (patch tokens) -> heads -> region embeddings, boxes, image embedding
                                            |
                    token embeddings -------+---> scores of any phrase: z . (w E) + w . b

To add a backbone, write one file in `backbones/` and name it in a recipe.
"""
