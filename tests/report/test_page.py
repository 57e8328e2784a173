import dataclasses
import io
import math
from html.parser import HTMLParser

import pytest
from PIL import Image

from omnidet.report import charts, page
from omnidet.report.page import Report, Section
from omnidet.report.pictures import Sample
from omnidet.report.tables import Table

METRICS = {
    "coco/AP": 0.4351,
    "coco/AP50": 0.6,
    "refcocog/AIGT": 0.723,
    "refcocog/AIGT_plain": 1.0,
    "speed/images_per_second": 31.25,
}
PROTOCOLS = {"coco": "COCO bbox, by <pycocotools>", "refcocog": "AIGT at IoU >= 0.5"}
LOG = [
    {
        "step": 0,
        "loss": 9.0,
        "det/names": 3.0,
        "grd/names": 4.0,
        "img/caption": 2.0,
        "learning_rate": 1e-4,
    },
    {
        "step": 10,
        "loss": 5.0,
        "det/names": 2.0,
        "grd/names": math.nan,
        "img/caption": 1.5,
        "learning_rate": 2e-4,
    },
    {
        "step": 20,
        "loss": 4.0,
        "det/names": 1.0,
        "img/caption": 1.0,
        "learning_rate": 1e-4,
        "gradient_norm": 1.5,
    },
]
FACTS = {"recipe": "tiny_world", "git commit": "8c9bcc3"}


class Page(HTMLParser):
    """A parsed page: its elements with their attributes, its text, the elements left open."""

    VOID = ("meta", "img", "input", "link", "br", "wbr")

    def __init__(self, content):
        super().__init__()
        self.elements, self.open, self.pieces = [], [], []
        self.feed(content)
        self.close()
        self.text = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.pieces.append(data)

    def of(self, tag, css_class=None):
        found = [attributes for name, attributes in self.elements if name == tag]
        return (
            found
            if css_class is None
            else [a for a in found if css_class in a.get("class", "").split()]
        )


def picture(width=64, height=48, form="PNG"):
    content = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(content, form)
    return content.getvalue()


def sample(
    kind="names",
    title="scene.png",
    truth=(((1, 2, 11, 12), "ball"),),
    predicted=(((1, 2, 11, 12), "ball", 0.87),),
    **image,
):
    return Sample(title, kind, picture(**image), truth, predicted)


def section(*samples, name="coco"):
    return Section(name, name, None, samples)


def write(folder, **changes):
    path = folder / "report.html"
    given = {
        "title": "A run",
        "subtitle": "of few steps",
        "metrics": METRICS,
        "protocols": PROTOCOLS,
        "training_log": LOG,
        "sections": [section(sample(), sample("phrase", "the red ball"))],
        "facts": FACTS,
    }
    page.write(path, Report(**(given | changes)))
    content = path.read_text()
    parsed = Page(content)
    assert parsed.open == []
    return content, parsed


def test_every_number_has_its_name_and_protocol(tmp_path):
    _, parsed = write(tmp_path)
    for text in (
        "A run",
        "of few steps",
        "AP50 ",
        ".435",
        ".600",
        "AIGT_plain",
        "1.000",
        "images_per_second",
        "31.25",
    ):
        assert text in parsed.text
    for text in (*PROTOCOLS.values(), *FACTS, *FACTS.values()):
        assert text in parsed.text


def test_the_file_is_self_contained(tmp_path):
    content, parsed = write(tmp_path)
    assert "://" not in content
    assert "url(" not in content
    assert "@import" not in content
    for tag, attributes in parsed.elements:
        assert tag not in ("script", "link", "iframe", "object")
        assert attributes.get("href", "#").startswith("#")
        assert attributes.get("src", "data:image/jpeg;base64,").startswith(
            "data:image/jpeg;base64,"
        )


def test_text_is_escaped_everywhere(tmp_path):
    evil = "<script>alert(1)</script>\"'"
    samples = [
        sample(kind, evil, [((1, 2, 9, 9), evil)], [((1, 2, 9, 9), evil, 0.5)])
        for kind in ("names", "phrase")
    ]
    content, parsed = write(
        tmp_path,
        title=evil,
        subtitle=evil,
        metrics={f"{evil}/{evil}": 0.5},
        protocols={evil: evil},
        training_log=[{"step": 1, "loss": 1.0, f"{evil}/{evil}": 1.0}],
        sections=[section(*samples)],
        facts={evil: evil},
    )
    assert "<script" not in content
    assert "&lt;script&gt;" in content
    assert not any(
        name.startswith("on") for _, attributes in parsed.elements for name in attributes
    )


def test_every_sample_is_drawn(tmp_path):
    samples = [sample(title=f"scene {i}") for i in range(5)] + [
        sample("phrase", f"phrase {i}") for i in range(3)
    ]
    _, parsed = write(tmp_path, sections=[section(*samples)])
    images = parsed.of("img")
    assert [image["alt"] for image in images] == [
        f"{s.title}: 1 true and 1 found boxes" for s in samples
    ]
    assert {(image["width"], image["height"]) for image in images} == {("64", "48")}
    rectangles = parsed.of("rect", "edge")
    assert len(rectangles) == 2 * len(samples)
    assert {tuple(r[k] for k in ("x", "y", "width", "height")) for r in rectangles} == {
        ("1", "2", "10", "10")
    }
    # On the picture, in the tooltip of the box and below the picture.
    assert parsed.text.count("ball .870") == 3 * len(samples)


def test_the_same_label_has_the_same_colour(tmp_path):
    found = [
        ((0, 0, 9, 9), "ball", 0.9),
        ((20, 20, 30, 30), "cone", 0.8),
        ((40, 0, 50, 9), "ball", 0.7),
    ]
    _, parsed = write(tmp_path, sections=[section(sample(predicted=found))])
    lowest, middle, highest = [
        r["class"] for r in parsed.of("rect", "edge") if r["class"] != "edge"
    ]
    assert lowest == highest != middle


@pytest.mark.parametrize(
    ("kind", "predicted", "expected"),
    [
        ("names", [((0, 0, 10, 10), "ball", 0.9), ((20, 0, 30, 10), "ball", 0.1)], "1 of 2"),
        ("names", [((0, 0, 10, 10), "ball", 0.2), ((20, 0, 30, 10), "cone", 0.1)], "✓ 2 of 2"),
        ("names", [], "0 of 2"),
        ("phrase", [((0, 0, 10, 10), "the toy", 0.9), ((20, 0, 30, 10), "the toy", 0.8)], "1 of 2"),
        (
            "phrase",
            [((50, 0, 60, 10), "the toy", 0.9), ((20, 0, 30, 10), "the toy", 0.8)],
            "0 of 2",
        ),
    ],
)
def test_found_boxes_are_counted(tmp_path, kind, predicted, expected):
    truth = [((0, 0, 10, 10), "ball"), ((20, 0, 30, 10), "cone")]
    _, parsed = write(tmp_path, sections=[section(sample(kind, truth=truth, predicted=predicted))])
    assert f" {expected} " in parsed.text


def test_a_chart_for_each_term_with_all_its_streams(tmp_path):
    _, parsed = write(tmp_path)
    charts = [a["aria-label"] for a in parsed.of("svg") if "aria-label" in a]
    names = ("loss", "loss: names", "loss: caption", "learning rate", "gradient norm")
    assert charts == [f"{name} against the step" for name in names]
    assert len(parsed.of("polyline", "smooth")) == len(parsed.of("polyline", "raw")) == 6
    coordinates = [
        float(v)
        for line in parsed.of("polyline")
        for pair in line["points"].split()
        for v in pair.split(",")
    ]
    assert all(map(math.isfinite, coordinates))


def test_long_logs_are_thinned(tmp_path):
    log = [{"step": i, "loss": 1e4 * 0.999**i} for i in range(9000)]
    content, parsed = write(tmp_path, training_log=log, sections=[])
    assert len(parsed.of("polyline", "raw")[0]["points"].split()) == charts.MAX_POINTS
    assert "log scale" in parsed.text
    assert len(content) < 50_000


def test_a_run_without_numbers_or_samples_is_still_a_page(tmp_path):
    _, parsed = write(tmp_path, metrics={}, protocols={}, training_log=[], sections=[], facts={})
    assert "A run" in parsed.text
    assert parsed.of("svg") == []
    _, parsed = write(
        tmp_path,
        metrics={"AP": math.nan},
        training_log=[{"loss": math.nan, "step": 1}, {"constant": 0.0}],
    )
    assert "n/a" in parsed.text


def test_published_results_say_whether_they_are_comparable(tmp_path):
    text = write(tmp_path)[1].text
    assert "coco AP this run 43.5 OWL-ViT a blog post not comparable :" in text
    source = "github.com/open-mmlab/mmdetection, configs/mm_grounding_dino/README.md"
    assert f"val2017, zero-shot; {source} not comparable" in text
    text = write(tmp_path, details={"coco": {"counts": {"images": 5000}}})[1].text
    assert "configs/mm_grounding_dino/README.md same split and protocol 48.4" in text
    assert "Grounding DINO" not in write(tmp_path, metrics={"other/AP": 0.5})[1].text


def test_large_pictures_are_embedded_small_with_their_coordinates(tmp_path):
    content, parsed = write(
        tmp_path, sections=[section(sample(width=3000, height=2000, form="JPEG"))]
    )
    assert parsed.of("img")[0]["width"] == "3000"
    assert len(content) < 100_000


BEFORE = {"coco/AP": 0.4, "coco/AP50": 0.6002, "refcocog/AIGT": 0.8, "gone/AP": 0.1}


def test_before_and_after_are_side_by_side(tmp_path):
    assert "Before and after" not in write(tmp_path)[1].text
    assert "Before and after" not in write(tmp_path, before={"gone/AP": 0.1})[1].text
    _, parsed = write(tmp_path, before=BEFORE)
    assert (
        "coco Number before now change AP .400 .435 +.035 AP50 .600 .600 ±0 refcocog Number"
        in parsed.text
    )
    assert "before now change AIGT .800 .723 −.077" in parsed.text
    verdicts = [
        a["class"] for a in parsed.of("td") if a.get("class") in ("better", "worse", "same")
    ]
    assert verdicts == ["better", "same", "worse"]
    _, parsed = write(
        tmp_path, before=BEFORE, zero_shot={"coco/AP": 0.1, "refcocog/AIGT_plain": 0.9}
    )
    assert "zero-shot before now change AP .100 .400 .435 +.035" in parsed.text
    assert "AIGT_plain .900 – 1.000 +.100" in parsed.text


def test_further_tables_are_shown(tmp_path):
    table = Table(
        "Data", ["Set", "images"], [["train/coco", "4,000"], ["<b>", "1"]], "What it was trained on"
    )
    _, parsed = write(tmp_path, tables=[table])
    assert "Data What it was trained on Set images train/coco 4,000 <b> 1" in parsed.text
    folded = Table("Recipe", ["Field", "value"], [["train.steps", "10"]], folded=True)
    _, parsed = write(tmp_path, tables=[folded])
    assert "Recipe 1 rows Field value train.steps 10" in parsed.text
    assert parsed.of("details")


def test_a_mistake_is_marked_on_its_box(tmp_path):
    found = [((1, 2, 11, 12), "ball", 0.87), ((30, 2, 41, 12), "cone", 0.5)]
    image = sample(predicted=found, truth=(((1, 2, 11, 12), "ball"),))
    marked = dataclasses.replace(image, group="Most mistakes", mistakes=("", "confusion"))
    _, parsed = write(tmp_path, sections=[section(marked)])
    assert "Most mistakes" in parsed.text
    assert "✗ cone .500" in parsed.text
    assert "ball .870 cone .500 ✗ confusion" in parsed.text


def test_intervals_are_next_to_their_numbers(tmp_path):
    assert "confidence" not in write(tmp_path)[1].text
    details = {
        "coco": {"intervals": {"AP": [0.41, 0.4611], "AP50": None}},
        "refcocog_plain": {"intervals": {"AIGT": [0.9, 1]}},
    }
    text = write(tmp_path, details=details)[1].text
    assert text.count(".435 .410 to .461") == 2
    assert "1.000 .900 to 1.000" in text
    assert "95 % confidence intervals" in text
