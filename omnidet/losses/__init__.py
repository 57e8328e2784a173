"""Stage 6: Predictions + Batch + Matches -> LossTerm.

To add a loss, write one file here with a function of that signature and name it in a recipe. A loss never divides and never
talks to other ranks: it returns sums and counts for each stream, and training divides. It stays connected to its head when
nothing is supervised, else distributed training hangs or fails: chosen rows that are none do that, or a sum times 0. Not a
sum over the token table: its gradient would be as large as the table.
"""
