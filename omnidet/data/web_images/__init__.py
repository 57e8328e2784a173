"""Lists of web addresses (LAION, CC12M) -> tars of the pictures that still answer.

    url_lists ──UrlRow──▶ fetch ──▶ fetcher (polite, safe) ──bytes──▶ checks ──Picture──▶ shard ──tar──▶

`fetch.py` is the run: it goes on where it was killed.
"""
