"""Plan the shard sets: `build_shard_sets` builds a group of them, `merge_shards` ends the build.

A group is JSON with all that its build needs. `kfp.local` hands the item to *every* input of a loop
that comes from another step: in a loop over names, the name would also replace settings and data.
"""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def plan_shards(data: str, data_folder: str, recipe: str, settings: list[str]) -> list[str]:
    """Hold out evaluation images; returns groups of shard sets: small sets share one."""
    from components.run import train_detector

    return train_detector.plan_shards(data, data_folder, recipe, settings)
