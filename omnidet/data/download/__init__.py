"""The files of the public datasets -> a folder or a bucket: locked, checked, resumed.

    catalogue ──RemoteFile──▶ mirrors ──▶ partial_file + http_range ──file──▶ archives ──▶ to_folder | to_bucket
                                                                                  │
                                                                              lock_file: what each file was first

`datasets.py` is what the command and the pipeline call. To add a dataset, add it to `catalogue.toml`.
"""
