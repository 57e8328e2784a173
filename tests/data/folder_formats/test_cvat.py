"""CVAT xml for images."""

from __future__ import annotations

from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, scenes


def test_cvat(folder: Folder):
    own = folder.pictures(
        [*scenes(6, split="Train"), *scenes(4, prefix="t", split="Test")], "images/x"
    )
    folder.write("annotations.xml", drawing.cvat(own))
    found = folder.read()
    assert found.format == "CVAT xml"
    assert {split: len(p) for split, p in found.splits.items()} == {"train": 6, "test": 4}
    assert all(not p.unknown for p in found.pictures())
    points = '<points label="dog" points="3,4"/></image>'
    folder.write("annotations.xml", drawing.cvat(own).replace("</image>", points, 1))
    found = folder.read(LOSSY)
    assert [set(p.unknown) for p in found.pictures() if p.unknown] == [{"dog"}]
    folder.write("annotations.xml", "<annotations><track id='0' label='cat'/></annotations>")
    assert "tracks of a video" in folder.refusal()


def test_a_subset_that_is_no_split_is_refused_beside_others_and_else_said(folder: Folder):
    own = folder.pictures([*scenes(6, split="Train"), *scenes(4, prefix="t", split="Tets")])
    folder.write("annotations.xml", drawing.cvat(own))
    said = folder.refusal()
    assert "annotations.xml, image 6 t000.png: 'Tets'" in said
    for scene in own:
        scene.split = "shop"
    folder.write("annotations.xml", drawing.cvat(own))
    found = folder.read()
    assert set(found.splits) == {""}
    assert any("'shop'" in note for note in found.account.notes)


def test_shapes_of_cvat(folder: Folder):
    own = folder.pictures(scenes(8))
    text = drawing.cvat(own)
    for number, scene in enumerate(own):
        x, y, w, h = scene.things[0].xywh
        name = scene.things[0].name
        box = f'<box label="{name}" occluded="0" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}"/>'
        cx, cy = x + w / 2, y + h / 2
        turned = (cx - h / 2, cy - w / 2, cx + h / 2, cy + w / 2)
        shapes = [
            f'<polygon label="{name}" points="{x},{y};{x + w},{y};{x + w},{y + h};{x},{y + h}"/>',
            f'<ellipse label="{name}" cx="{cx}" cy="{cy}" rx="{w / 2}" ry="{h / 2}"/>',
            f'<mask label="{name}" rle="1" left="{x}" top="{y}" width="{w}" height="{h}"/>',
            '<box label="{}" xtl="{}" ytl="{}" xbr="{}" ybr="{}" rotation="90"/>'.format(
                name, *turned
            ),
        ]
        assert box in text
        text = text.replace(box, shapes[number % 4], 1)
    folder.write("annotations.xml", text)
    assert folder.num_read() == 8
