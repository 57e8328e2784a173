from omnidet.evaluation.metric_names import HEADLINES, SHOWN_LARGE, is_headline


def test_a_headline_is_known_by_the_last_part_of_its_name():
    assert [
        name for name in ("coco/AP", "coco/APs", "AP", "a/b/R@1", "AP/x") if is_headline(name)
    ] == [
        "coco/AP",
        "AP",
        "a/b/R@1",
    ]


def test_the_report_shows_every_headline_large():
    assert set(HEADLINES) <= set(SHOWN_LARGE)
