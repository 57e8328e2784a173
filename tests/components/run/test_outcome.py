"""The line in a log that tells what became of a detector."""

from __future__ import annotations

import pytest

from components.run import outcome


@pytest.mark.parametrize(
    ("say", "kind", "shown"),
    [
        (lambda: outcome.registered("a@2", ("best",)), "registered", "registered a@2, best"),
        (lambda: outcome.registered("toy@2"), "registered", "registered toy@2"),
        (lambda: outcome.judged(False, ["a: 1", "b: 2"]), "refused", "gate: refused, a: 1; b: 2"),
        (lambda: outcome.judged(True, []), "passed", "gate: passed"),
        (lambda: outcome.nothing_to_do("old"), "nothing to do", "nothing to do, old"),
    ],
)  # fmt: skip
def test_what_a_step_says_is_found_in_its_log(capsys, say, kind, shown):
    say()
    log = f"I1129 launcher\n{capsys.readouterr().out}F1129 launcher\n"
    found = outcome.find(log)
    assert found is not None
    assert (found.kind, str(found)) == (kind, shown)


def test_a_log_without_an_outcome():
    assert outcome.find("registered toy@2\nthe outcome: registered toy@3\n") is None
