"""Stage 6: Predictions + Batch + Matches -> LossTerm.

To add a loss, write one file here with a function of that signature and name it in a recipe. A loss never divides and never
talks to other ranks: it returns sums and counts for each stream, and training divides. It stays connected to its head when
nothing is supervised (`* 0` sums), else distributed training hangs or fails.
"""
