"""Download datasets of the catalogue to where the run reads its data."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def download(
    data: str, data_version: str, names: list[str], recipe: str, settings: list[str]
) -> str:
    """Fetch, check, unpack and upload the datasets that are missing; returns `data` unchanged."""
    from components.run import train_detector

    print(f"to download into {data!r} (version {data_version!r}): {', '.join(names) or 'nothing'}")
    return train_detector.download(data, names, recipe, settings)
