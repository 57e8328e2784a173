from __future__ import annotations

from omnidet.recipes.photographs import of_folder, photographs


def test_a_folder_has_its_own_sets_numbers_and_name():
    recipe = of_folder(photographs(), "cups")
    assert [d.set_name for d in recipe.shards.train] == ["train/cups"]
    assert [d.set_name for d in recipe.shards.evaluation] == ["eval/cups"]
    assert {name for stream in recipe.streams for name in stream.sets} == {"train/cups"}
    (benchmark,) = recipe.evaluation.benchmarks
    assert (benchmark.name, benchmark.set_name) == ("cups", "eval/cups")
    assert recipe.register.name == "cups"
    assert recipe.train == photographs().train


def test_only_what_a_folder_of_boxes_supervises_is_a_loss():
    names = {loss.name for loss in photographs().losses}
    assert names == {"names", "boxes_l1", "boxes_giou"}
    assert not any(s.captions or s.describes for s in photographs().streams)
