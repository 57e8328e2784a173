"""Datasets of the catalogue, brought to where the run reads its data."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def download(data: str, data_version: str, names: list[str], catalogue: str, recipe: str) -> str:
    """Fetch, check, unpack and upload what is not there yet; gives the location of the datasets, as it was given."""
    from components.run import train_detector

    print(f"to bring into {data!r}: {', '.join(names) or 'nothing'} (version {data_version!r})")
    return train_detector.download(data, names, catalogue, recipe)
