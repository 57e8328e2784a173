"""Write the index over all shard sets.

The shards stay in the object store: the artifact notes where and what they are.
"""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def merge_shards(data_folder: str, set_names: list[str], dataset: dsl.Output[dsl.Dataset]) -> str:
    """Write the index that turns the shard sets into a shard folder; returns its location."""
    from components.run import places, train_detector

    facts = train_detector.merge_shards(data_folder, set_names, dataset.path)
    dataset.metadata.update(facts)
    return places.shards(data_folder)
