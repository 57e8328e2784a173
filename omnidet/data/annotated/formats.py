"""The formats of annotations: which are read, by which reader, and what of each.

`docs/formats.md` is made from this table.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from omnidet.data.folder_formats import (
    coco,
    createml,
    cvat,
    label_studio,
    labelme,
    tables,
    via,
    voc,
    yolo,
)
from omnidet.data.folder_formats.folder import OTHER_PICTURES, PICTURES, Folder
from omnidet.data.folder_formats.sheets import Found


@dataclass(frozen=True)
class Format:
    """One that is read."""

    name: str
    """As `--format` takes it."""
    title: str
    read: Callable[[Folder], Found | None]
    found_by: str
    boxes: str
    """What gives a box."""
    left_out: str
    """What gives none; its name is then unknown in that picture, never absent."""
    picture: str
    """How the picture is found."""
    split: str
    absent: str
    """Which names count as looked for, and so absent where they have no box."""
    turned: str
    """Which way photographs are up that EXIF turns."""
    is_second: bool = False
    """Left alone where another format is found as well, and none is asked for."""


@dataclass(frozen=True)
class Foreign:
    """One that is not read, named where a folder has nothing else."""

    title: str
    remedy: str


UNDECLARED = "nothing in the files says it: such photographs are left out unless `--exif` says it"
DECLARED = "the declared size says whether boxes were drawn on the picture as shown or as stored"
FORMATS: tuple[Format, ...] = (
    Format(
        "coco",
        "COCO json",
        coco.read,
        "any json with `images`, `annotations` and `categories`; one or several, also one a "
        "class or one a picture",
        "`bbox` as numbers or texts; where it is missing or empty, polygons and run-length masks "
        "of `segmentation`; the box around one that CVAT turned (`attributes`); "
        "`iscrowd` and `ignore` frame a region in which the name may be there more often",
        "annotations without either, of an unknown category or picture; captions and COCO "
        "panoptic files",
        "`file_name`, from the json or anywhere below the folder; ids may be numbers, texts or 1.0",
        "`split` of the picture, which must be a split where others are; else the name of the json "
        "(`instances_train2017.json`), else the folders of the json, else of the picture",
        "the categories of the file; with `neg_category_ids` (LVIS) these alone",
        DECLARED,
    ),
    Format(
        "voc",
        "Pascal VOC xml",
        voc.read,
        "any xml with the root `annotation`",
        "`bndbox`, corners in any order, counted from 1, also several of an object; the box around "
        "one that CVAT (`attributes`) or roLabelImg (`robndbox`) turned; else the box around "
        "`polygon`",
        "objects without either or without a name; files that are not xml",
        "`<filename>`, else the name of the xml; where both are there and differ, neither",
        "`ImageSets/*/train.txt`, `val.txt`, `test.txt`, else folders",
        "all names of the folder; none where several xml files share a picture",
        DECLARED,
    ),
    Format(
        "yolo",
        "YOLO txt",
        yolo.read,
        "txt files with rows of numbers, and `data.yaml`, `classes.txt` or `obj.names`",
        "`class cx cy width height`, with a confidence, a track or keypoints behind (`kpt_shape`); "
        "the box around outlines and oriented boxes",
        "rows that are not numbers, of a class that is not among the names, or with an angle",
        "the picture called like the label, `a.txt` or `a.jpg.txt`, in the folder that goes with "
        "it",
        "`train`, `val`, `test` of data.yaml (folders, lists of folders, text files), else "
        "lists, else folders; what is named for several is not trained on",
        "the names of data.yaml or classes.txt; an empty txt says that nothing is there",
        UNDECLARED,
    ),
    Format(
        "cvat",
        "CVAT xml",
        cvat.read,
        'xml of "CVAT for images 1.1", root `annotations`',
        "`box`, turned ones as the box around; the box around `polygon`, `ellipse` and `mask`",
        "points, lines, skeletons, cuboids and tags; tracks of videos are refused",
        "`name` of the image",
        "`subset` of the image, which must be a split where others are, else the name of the "
        "xml, else folders",
        "the labels of the task, else all names of the folder",
        DECLARED,
    ),
    Format(
        "labelme",
        "LabelMe json",
        labelme.read,
        "json with `shapes`, as labelme, AnyLabeling and X-AnyLabeling write it",
        "`rectangle`; the box around `polygon`, `rotation`, `circle` and `mask`; polygons and "
        "masks of one label and `group_id` are parts of one thing",
        "points, lines and cuboids; a picture that is in `imageData` alone",
        "`imagePath`, else the name of the json; where both are there and differ, neither",
        "lists (`train.txt`), else folders",
        "all names of the folder; none where several files share a picture",
        DECLARED,
    ),
    Format(
        "label-studio",
        "Label Studio json",
        label_studio.read,
        "json or JSON-MIN export: a list of tasks",
        "rectangles, turned ones as the box around; the box around polygons and ellipses",
        "brushes and keypoints; tasks without a submitted annotation, or with several pictures; "
        "annotations beside one that is marked as ground truth",
        "the uploaded name or the address of the picture, with or without the tool's prefix",
        "the name of the json, else folders",
        "all names of the folder; none where several annotations share a picture",
        DECLARED,
    ),
    Format(
        "createml",
        "CreateML json",
        createml.read,
        "json: a list of pictures with `annotations` and `coordinates`",
        "`coordinates`: the centre, width and height, in pixels",
        "annotations without four numbers or without a label",
        "`image` or `imagefilename`",
        "the name of the json, else folders",
        "all names of the folder; none where several files share a picture",
        UNDECLARED,
        is_second=True,
    ),
    Format(
        "via",
        "VGG Image Annotator json or csv",
        via.read,
        "json, csv or project of VIA 1 and 2",
        "`rect`; the box around `polygon`, `circle` and `ellipse`; named by the attribute `label`, "
        "`class`, `name`, `category`, `type` or `object`, or by the only one; of an option that is "
        "called by a number, its description in the project",
        "points and lines; pictures without a region, which nobody may have looked at",
        "`filename`",
        "the name of the file, else folders",
        "all names of the folder; none where several files share a picture",
        UNDECLARED,
        is_second=True,
    ),
    Format(
        "csv",
        "table of boxes",
        tables.read,
        "csv or tsv with columns for the picture, the class and four corners, such as `filename, "
        "class, xmin, ymin, xmax, ymax`; Open Images; `path,x1,y1,x2,y2,class` without a head; "
        "what Make Sense exports",
        "the corners, in pixels, or as shares where all are from 0 to 1; named by the column "
        "`class`, `label`, `class_name` or the like, by one of words before one of numbers; "
        "`IsGroupOf` frames a group",
        "rows without four numbers or without a class; other tables with x, y, width and height, "
        "which may begin at the corner or the centre, are not read",
        "the column `filename`, `image`, `path` or `ImageID`",
        "the column `split`, whose words must be splits, else the name of the table, else folders",
        "all names of the folder; of Open Images none; none where several tables share a picture",
        "the columns `width` and `height` say it; without these such photographs are left out "
        "unless `--exif` says it",
        is_second=True,
    ),
)
EXPORT = "export COCO json, or Pascal VOC xml"
BOXES = "convert it to COCO json or YOLO txt"
FOREIGN = {
    "via": Foreign("a file of VGG Image Annotator without pictures", "export the annotations"),
    "csv": Foreign(
        "a csv table without columns for the picture, the class and four corners (x, y, width and "
        "height may begin at the corner or the centre)",
        "give `filename, class, xmin, ymin, xmax, ymax` in pixels, or COCO json",
    ),
    "kitti": Foreign("KITTI txt", BOXES),
    "dota": Foreign("DOTA txt", BOXES),
    "mot": Foreign("txt in pixels, as MOT Challenge and VisDrone write it", BOXES),
    "icdar": Foreign("ICDAR txt", BOXES),
    "paths": Foreign("a txt of paths and corners, as keras-yolo3 reads it", BOXES),
    "wider": Foreign("a txt of paths, as WIDER FACE has it", BOXES),
    "oid": Foreign("txt of OIDv4 ToolKit", BOXES),
    "supervisely": Foreign("Supervisely json", EXPORT),
    "datumaro": Foreign("Datumaro json", EXPORT),
    "scalabel": Foreign("BDD100K or Scalabel json", EXPORT),
    "darwin": Foreign("Darwin json of V7", EXPORT),
    "fiftyone": Foreign("FiftyOne json", EXPORT),
    "scale": Foreign("json of Scale", EXPORT),
    "dataloop": Foreign("Dataloop json", EXPORT),
    "via3": Foreign("a file of VGG Image Annotator 3", EXPORT),
    "vott": Foreign("VoTT json", EXPORT),
    "encord": Foreign("Encord json", EXPORT),
    "labelbox": Foreign("Labelbox json", EXPORT),
    "lines": Foreign("lines of json, as Labelbox, SageMaker and Hugging Face write them", EXPORT),
    "cityscapes": Foreign("Cityscapes json", "convert it to COCO json"),
    "tfrecord": Foreign("TFRecord", EXPORT),
    "parquet": Foreign("Parquet or Arrow", "write the pictures as files, the boxes as COCO json"),
    "sheet": Foreign("a spreadsheet", "write the boxes as COCO json"),
    "panoptic": Foreign("COCO panoptic json, masks of whole pictures", "give the instances json"),
    "captions": Foreign("captions, which have no boxes", "give the instances json"),
    "results": Foreign(
        "what a detector said, without names", "give what people drew, as COCO json"
    ),
    "binary": Foreign("a file of Matlab, NumPy or pickle", BOXES),
    "video": Foreign("a video", "export its frames as pictures with their boxes"),
}
"""Formats that people have as well, by what `folder_formats/foreign.py` finds."""


def markdown() -> str:
    """The documentation page."""
    lines = ["# Annotation formats", "", *_wrapped(INTRODUCTION)]
    for entry in FORMATS:
        rows = {
            "found by": entry.found_by,
            "gives a box": entry.boxes,
            "left out": entry.left_out,
            "picture": entry.picture,
            "split": entry.split,
            "absent": entry.absent,
            "EXIF": entry.turned,
        }
        lines += ["", f"## {entry.title}", "", "| | |", "|---|---|"]
        lines += [f"| `--format` | `{entry.name}` |"]
        lines += [f"| {what} | {text} |" for what, text in rows.items()]
    endings = f"Read: {_endings(PICTURES)}. Not read, and named: {_endings(OTHER_PICTURES)}."
    lines += ["", "## Pictures", "", *_wrapped(endings), "", *_wrapped(ABOUT_PICTURES)]
    lines += ["", "## Names", "", *_wrapped(ABOUT_NAMES)]
    lines += ["", "## Formats that are not read", "", "| format | what to do |", "|---|---|"]
    lines += [f"| {foreign.title} | {foreign.remedy} |" for foreign in FOREIGN.values()]
    return "\n".join(lines) + "\n"


INTRODUCTION = """
What `omnidet finetune` and the pipeline `retrain` read. The table is in
`omnidet/data/annotated/formats.py`; `python -m omnidet.data.annotated.formats > docs/formats.md`
makes this page from it.

Every picture, annotation and box is accounted for: read = kept + left out, with the reason and the
first file of each reason. The account is printed before anything is trained and stored in
`dataset/summary.json`. A name whose box cannot be read is unknown in that picture, never absent. A
folder is refused if more than 10 % of its boxes are lost (`--set retrain.reading.max_lost=0.2`
allows more; points and lines of names that have no box anywhere, as landmarks, do not count), if
its boxes are in another unit than the format wants, or if the labels of YOLO or the annotations of
COCO count the classes from 1 and the names from 0, or the other way round, or do not count a
background that the names count, or if two of its files are an older and a newer state of the same
annotations. Where not one of many boxes reaches beyond two thirds of its picture, the account says
so: they may be in percent, or drawn on smaller pictures.
"""
ABOUT_PICTURES = """
A picture is found by the path that its annotation gives, from any operating system: `\\` is `/`,
and Unicode form, case and `%20` do not matter where only one file fits. Where two different files
fit, neither is taken. Symbolic links are followed. `__MACOSX`, `@eaDir` and names that begin with a
dot are skipped, and what detectors wrote into `runs/` where there are other annotations. Copies of
a picture are one picture, with the boxes of all; where these contradict one another, the picture is
left out. A picture without an annotation is left out: in YOLO, an empty txt says that nothing is
there. So is a val or test in which not one picture has a box, and what a COCO or CVAT file lists
that has several pictures and no box: nobody may have looked at them. Photographs are turned as
their EXIF tag says, and 16-bit and float greyscale is scaled to 8 bits. Lists of pictures, such as
`train.txt` and `val.txt`, say the split where nothing else does, in all formats.
"""
ABOUT_NAMES = """
`BoltWasher`, `bolt_washer`, `bolt-washer` and `BOLT WASHER` become the phrase `bolt washer`. To
choose other phrases, give `--names FILE`, a YAML file with lines such as `BoltWasher: lock washer`;
two names with the same phrase become one. A name without any box is left out.
"""


def _wrapped(text: str) -> list[str]:
    """Paragraphs in lines of 100 columns."""
    found: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        text = " ".join(paragraph.split())
        lines = textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)
        found += ["", *lines]
    return found[1:]


def _endings(found: frozenset[str]) -> str:
    return ", ".join(f"`{ending}`" for ending in sorted(found))


if __name__ == "__main__":
    print(markdown(), end="")
