"""Named boxes -> annotation files of the formats that `folder_formats` reads.

    Labelled ──coco, yolo, voc, cvat, labelme, label_studio──▶ text

A format writes one file for each picture (`each`) or one for all of them (`whole`). To add one,
write a file here and name it in `formats.py`.
"""
