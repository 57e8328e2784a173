"""The report in a real browser, at the widths of a desktop and of a phone.

Nothing sticks out of the page, covers something else or fails to load. Skipped without Chromium;
with OMNIDET_TEST_BROWSER=required that is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from omnidet.report import page, tables
from omnidet.report.page import Report
from omnidet.report.sections import sections
from tests import browser, evaluations

pytestmark = pytest.mark.slow

WIDTHS = {"desktop": 1280, "phone": 390}
LONG = " of that supercalifragilistic-expialidocious-kind-which-nobody-asked-for"
STICKING_OUT = """
[...document.body.querySelectorAll('*')]
  .filter(e => !e.closest('.pictures, .stage svg, td.bar, details:not([open])'))
  .filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && (box.right > document.documentElement.clientWidth + 1 || box.left < -1);
  })
  .map(e => e.outerHTML.slice(0, 120))
"""
"""Elements beyond the window; on a phone, a gallery scrolls by itself."""
OVERLAPPING = """
(() => {
  const kinds = 'h1, h2, h3, h4, p, th, td, dt, dd, figcaption, .chart svg, .stage, .card, nav a,'
    + 'summary';
  const boxes = [...document.querySelectorAll(kinds)]
    .map(e => [e, e.getBoundingClientRect()])
    .filter(([e, box]) => box.width && box.height && !e.closest('details:not([open]) > table'));
  const found = [];
  for (const [a, p] of boxes) for (const [b, q] of boxes) {
    if (a === b || a.contains(b) || b.contains(a)) continue;
    const width = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const height = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    const [first, second] = [a, b].map(e => e.outerHTML.slice(0, 90));
    if (width > 1.5 && height > 1.5) found.push(first + ' | ' + second);
  }
  return found.slice(0, 5);
})()
"""
"""Pairs of texts, charts, pictures or cards that cover one another."""
CONTRAST = """
(() => {
  const linear = x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4;
  const light = colour => {
    const [red, green, blue] = colour.match(/[\\d.]+/g).slice(0, 3).map(x => linear(x / 255));
    return .2126 * red + .7152 * green + .0722 * blue;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (colour != 'rgba(0, 0, 0, 0)') return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const kinds = ['p', 'th', 'td', 'li', 'dd', 'dt', 'h2', 'h3', 'span', 'summary', 'b'];
  return [...document.querySelectorAll(kinds.map(kind => `main ${kind}`))]
    .filter(e => e.textContent.trim() && e.getBoundingClientRect().width)
    .map(e => {
      const both = [light(getComputedStyle(e).color), light(ground(e))];
      const [bright, dark] = both.sort((x, y) => y - x);
      return [(bright + .05) / (dark + .05), e.outerHTML.slice(0, 120)];
    })
    .filter(([ratio]) => ratio < 4.5).slice(0, 5);
})()
"""
"""Texts whose contrast with what is behind them is below 4.5 to 1, the minimum of WCAG 2 AA."""
LOADED = """
Promise.all([...document.images].map(image => {
  image.loading = 'eager';
  return image.decode().then(() => image.naturalWidth > 0, () => false);
}))
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory) -> Iterator[browser.Browser]:
    if browser.program() is None:
        if os.environ.get("OMNIDET_TEST_BROWSER") == "required":
            pytest.fail("Chromium is missing: install it (Debian: apt-get install chromium)")
        pytest.skip("Chromium is missing on this machine")
    with browser.browser(tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A report with everything that it can show, and words that are hard to fit."""
    folder = tmp_path_factory.mktemp("report")
    index = evaluations.index(folder, LONG)
    evaluation = evaluations.evaluation(folder / "evaluation", LONG)
    metrics = {
        "coco/AP": 0.43,
        "coco/AP50": 0.6,
        "coco/APs": 0.5,
        "lvis/AP": 0.2,
        "refcocog/AIGT": 0.7,
        "refcocog/AIGT_unseen": 0.5,
    }
    log = [
        {"step": i, "loss": 9 - i / 9, "det/names": 3 - i / 9, "grd/names": 4.0, "img/caption": 2.0}
        for i in range(20)
    ]
    recipe = {"train": {"steps": 10, "weights": "s3://bucket/" + "a" * 80}}
    streams = [{"name": "det", "sets": ["train/" + "coco" * 12], "images_per_step": 8}]
    report = Report(
        title="omnidet" + LONG,
        subtitle="An open-vocabulary detector",
        metrics=metrics,
        protocols={"coco": "COCO bbox" + LONG},
        details={"coco": {"intervals": {"AP": [0.41, 0.45]}}},
        training_log=log,
        sections=sections(index, evaluations.BENCHMARKS, evaluation),
        facts={
            "run": "3f03048ef296",
            "dataset version": "f33dc68b229fb0cc4446a4c7ca87500df8fc481e6270c357d4e81a692b9ae07b",
        },
        before={name: value - 0.1 for name, value in metrics.items()},
        zero_shot={"coco/AP": 0.1},
        tables=tables.of_run(index, {"recipe": recipe | {"streams": streams}}),
    )
    page.write(folder / "report.html", report)
    return folder / "report.html"


@pytest.mark.slow
@pytest.mark.parametrize("place", WIDTHS)
def test_nothing_sticks_out_or_overlaps_and_every_picture_loads(tab, report, place, tmp_path):
    tab.open(report, WIDTHS[place])
    assert tab.run(STICKING_OUT) == []
    assert tab.run("innerWidth") == WIDTHS[place]  # a phone zooms out if something is wider
    assert tab.run("document.documentElement.scrollWidth") <= WIDTHS[place]
    assert tab.run("[...document.querySelectorAll('section')].length") >= 7
    assert tab.run(OVERLAPPING) == []
    loaded = tab.run(LOADED)
    assert len(loaded) == 12
    assert all(loaded)
    tab.run("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert tab.run("document.documentElement.scrollWidth") <= WIDTHS[place]
    assert tab.run(STICKING_OUT) == []
    tab.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as shown:
        assert shown.width == WIDTHS[place]
        colours = shown.convert("RGB").crop((0, 0, shown.width, 3000)).getcolors(1 << 24)
    assert len(colours) > 500, "the page is blank"
    assert tab.logged == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(tab, report, scheme):
    tab.open(report, 1280, scheme=scheme)
    assert tab.run("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
    assert tab.run(CONTRAST) == []


def test_the_switches_hide_boxes(tab, report):
    tab.open(report, 1280)
    count = (
        "[...document.querySelectorAll('.{0}')]"
        ".filter(e => getComputedStyle(e).display != 'none').length"
    )
    shown = {kind: tab.run(count.format(kind)) for kind in ("true", "found")}
    assert all(shown.values())
    tab.run("document.querySelectorAll('.see-found').forEach(e => e.click())")
    assert (tab.run(count.format("true")), tab.run(count.format("found"))) == (shown["true"], 0)


def test_the_checks_fail_on_a_broken_page(tab, tmp_path):
    (tmp_path / "bad.html").write_text(
        "<!doctype html><meta name=viewport content='width=device-width'><main>"
        "<p style='width:2000px'>wide</p>"
        "<p style='position:absolute;top:0;left:0;color:#888;background:#999'>over</p>"
        "<img src='data:image/png;base64,AAAA'></main>"
    )
    tab.open(tmp_path / "bad.html", 390)
    assert tab.run("document.documentElement.scrollWidth") > 390
    assert tab.run(STICKING_OUT)
    assert tab.run(OVERLAPPING)
    assert tab.run(CONTRAST)
    assert tab.run(LOADED) == [False]
