from omnidet.counted import counted


def test_only_one_thing_is_singular():
    assert [counted(n, "picture") for n in (0, 1, 2)] == ["0 pictures", "1 picture", "2 pictures"]


def test_a_plural_of_its_own():
    assert [counted(n, "box", "boxes") for n in (1, 3)] == ["1 box", "3 boxes"]
