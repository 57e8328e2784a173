"""The files of the public datasets -> a folder or a bucket: locked, checked, resumed.

    catalogue ──RemoteFile──▶ mirrors ──▶ http_range, partial_file ──file──▶ to_folder | to_bucket
                                                                                 │
                   lock_file: size and hash of each file; archives, manifest: what it unpacks into

`datasets.py` is what the command and the pipeline call. To add a dataset, add it to
`catalogue.toml`.
"""
