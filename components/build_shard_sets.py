"""Build the shard sets of one group of the plan."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def build_shard_sets(group: str) -> str:
    """Read datasets, clean them and write their shards; returns the names of the sets."""
    from components.run import train_detector

    return train_detector.build_shard_sets(group)
