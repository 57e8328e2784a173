"""What readers share: files and formats, and no dataset's name.

Folders local or on s3://, JSON and tars of any size, JPEG headers, URL lists, COCO's annotation format, bad records.
"""
