"""The index over all shard sets. The shards stay in the object store: the artifact is a note of where and what they are."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def merge_shards(data_folder: str, set_names: list[str], dataset: dsl.Output[dsl.Dataset]) -> str:
    """Write the index over the shard sets, which makes them a shard folder; gives its location."""
    from components.run import train_detector

    facts = train_detector.merge_shards(data_folder, set_names, dataset.path)
    dataset.metadata.update(facts)
    return train_detector.shards(data_folder)
