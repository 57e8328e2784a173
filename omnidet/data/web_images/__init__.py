"""Lists of URLs and captions (LAION, CC12M) -> tars of the pictures that are still there.

    url_lists ──UrlRow──▶ fetch ──▶ fetcher ──bytes──▶ checks ──Picture──▶ shard ──tar──▶

`fetch.py` is the run, which resumes where it was killed; its settings are in `settings.py`.
`addresses.py` and `robots_tags.py` say what `fetcher.py` may ask for and take.
"""
