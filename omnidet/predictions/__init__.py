"""A detector over any number of pictures: what people name in, files out.

    files, folders, globs, lists, URLs, s3://, videos ──inputs──▶ Item ──loader──▶ Picture
        ──run: batches of OmniDet.detect──▶ journal ──▶ drawn pictures, crops, label files, tables

The journal, `predictions.jsonl`, says what is done: a run that was killed goes on from there, and
every file about all the pictures is made from it at the end.
"""
