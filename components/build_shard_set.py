"""Build one shard set of the plan."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def build_shard_set(part: str) -> str:
    """Read one dataset, clean it and write its shards; returns the name of the set."""
    from components.run import train_detector

    return train_detector.build_shard_set(part)
