"""Stage 6: Predictions + Batch + Matches -> LossTerm.

To add a loss, write one file here with a function of that signature, named like the file, and name
it in a recipe. A loss never divides and never communicates with other ranks: it returns sums and
counts for each stream, and training divides.

A loss stays connected to its head even if nothing is supervised, or distributed training would hang
or fail. Indexing with no rows keeps the connection, and so does a sum times 0. Do not use a sum
over the token table for this: its gradient would be as large as the table.
"""
