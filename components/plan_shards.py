"""Which shard sets there are to build: `build_shard_set` builds one, `merge_shards` ends the build.

A part is JSON that says all that its build needs. `kfp.local` hands the loop's item to *every* input of a loop that comes from
another step, so that a loop over names alone would get the name for settings and data too.
"""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def plan_shards(data: str, data_folder: str, recipe: str, settings: list[str]) -> list[str]:
    """Hold out evaluation images; give one part for each shard set."""
    from components.run import train_detector

    return train_detector.plan_shards(data, data_folder, recipe, settings)
