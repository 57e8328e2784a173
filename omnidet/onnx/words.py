"""Phrases -> rows and biases, from the token table that lies beside an exported model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from omnidet.data.vocabulary import Vocabulary
from omnidet.model.confidence import Line, shapes
from omnidet.schema import FloatArray

TOKENIZER, TABLE = "tokenizer.json", "tokens.npz"
"""The files."""


class Words:
    """The vocabulary and the embedding and bias of each of its tokens."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        embeddings_TD: FloatArray,
        biases_T: FloatArray,
        line: Line | None = None,
    ) -> None:
        self.vocabulary, self.embeddings_TD, self.biases_T = vocabulary, embeddings_TD, biases_T
        self.line = line or Line()
        """What makes logits probabilities."""

    @classmethod
    def load(
        cls,
        folder: str | Path,
        blocks: Sequence[int],
        names: Sequence[str] = (),
        line: Sequence[float] = (),
        weights_sha256: str = "",
    ) -> Words:
        """Read what `save` wrote.

        Args:
            weights_sha256: of the detector that the model beside the files was exported from.

        Raises FileNotFoundError or ValueError with the remedy, also for the files of another
        detector.
        """
        folder = Path(folder)
        for name in (TOKENIZER, TABLE):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"{folder / name} does not exist: a detector for any words needs it beside "
                    "model.onnx; export again, or export with --words"
                )
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
            with np.load(folder / TABLE, allow_pickle=False) as table:
                embeddings_TD, biases_T, idf_T = (
                    table[key] for key in ("embeddings", "biases", "idf")
                )
                heard_V = table.get("heard")
                # Exports of before had no hash in the table.
                of_weights = str(table.get("weights_sha256", ""))
            vocabulary = Vocabulary(tokenizer, idf_T, blocks, names, heard_V)
        except Exception as error:  # tokenizers raises plain Exception
            raise ValueError(f"{folder} is damaged ({error}): export again") from error
        shapes = embeddings_TD.shape[:1], biases_T.shape
        if shapes != ((vocabulary.num_tokens,),) * 2:
            raise ValueError(
                f"{folder / TABLE} has {len(embeddings_TD)} tokens, and {TOKENIZER} "
                f"{vocabulary.num_tokens}: the files are of two exports; export again"
            )
        if of_weights and weights_sha256 and of_weights != weights_sha256:
            raise ValueError(
                f"{folder / TABLE} is of another detector than the model beside it: the files are "
                "of two exports; export again"
            )
        return cls(vocabulary, embeddings_TD, biases_T, Line(*line))

    def save(self, folder: Path, weights_sha256: str = "") -> None:
        """Write both files into an existing folder.

        Args:
            weights_sha256: of the detector, by which `load` knows the files of another one.
        """
        (folder / TOKENIZER).write_text(
            self.vocabulary.tokenizer.to_str(pretty=True), encoding="utf-8"
        )
        tables: dict[str, Any] = {
            "embeddings": self.embeddings_TD,
            "biases": self.biases_T,
            "idf": self.vocabulary.idf_T,
            "weights_sha256": np.array(weights_sha256),
        }
        if self.vocabulary.stored_heard_V is not None:
            tables["heard"] = self.vocabulary.stored_heard_V
        np.savez(folder / TABLE, **tables)

    def rows(self, phrases: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Rows (P, D) and biases (P,) of the score `z . row + bias`.

        Raises ValueError for a phrase without a letter, digit or symbol.
        """
        rows_PD = np.zeros((len(phrases), self.embeddings_TD.shape[1]), np.float32)
        biases_P = np.zeros(len(phrases), np.float32)
        for place, phrase in enumerate(phrases):
            ids, weights = self.vocabulary.encode(phrase)
            rows_PD[place] = weights @ self.embeddings_TD[ids]
            biases_P[place] = weights @ self.biases_T[ids]
        scale = np.float32(self.line.scale)
        offsets_P = self.line.offsets(shapes(self.vocabulary, tuple(phrases)))
        return rows_PD * scale, biases_P * scale + offsets_P
