"""Stage 4: images -> Predictions.

     images -> vit (patch tokens) -> heads -> region embeddings, boxes, image embedding
                                       |
               token embeddings -------+---> scores of any phrase: z . (w E) + w . b

To add a backbone, write a function in `vit.py` (or a file beside it) that returns a module with `forward(images) ->
(B, Q, width)` and the fields of `vit.Backbone`, and name it in a recipe.
"""
