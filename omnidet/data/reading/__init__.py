"""What readers share: files and formats. No dataset is named here.

    dataset_folder, urls ──bytes──▶ json_stream, tar_pairs, url_lists ──entries──▶ annotations
                                                                                      │
              sources/ ──Record──▶ quarantine: bad records counted, never dropped silently

To add a format that several datasets share, add a file; a format of one dataset belongs in
`sources/`.
"""
