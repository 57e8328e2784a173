"""What the steps of every pipeline need from the cluster. Local runs know nothing of it.

No `set_env_variable`: it would take the place of what `DockerRunner` passes on.
"""

from __future__ import annotations

from typing import Any

from kfp import kubernetes

HOUR = 3600


def prepare(
    task: Any, secret: Any, config_map: Any, hours: int = 1, is_cached: bool = True
) -> None:
    """What every step has: the object store by reference, two more tries, a time-out, whether it may be cached."""
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    kubernetes.use_secret_as_env(task, secret, {key: key for key in keys}, optional=True)
    settings = ("AWS_ENDPOINT_URL", "AWS_REGION")
    kubernetes.use_config_map_as_env(
        task, config_map, {key: key for key in settings}, optional=True
    )
    kubernetes.set_timeout(task, hours * HOUR)
    task.set_retry(
        num_retries=2, backoff_duration="10s", backoff_factor=2, backoff_max_duration="10m"
    )
    task.set_caching_options(enable_caching=is_cached)


def tell_registry(task: Any, config_map: Any) -> None:
    """The address of Kubeflow's Model Registry, where the ConfigMap has one."""
    kubernetes.use_config_map_as_env(
        task, config_map, {"MODEL_REGISTRY_ADDRESS": "MODEL_REGISTRY_ADDRESS"}, optional=True
    )


def place(
    task: Any, gpus: Any, cpu: Any, memory: Any, node_selector: Any, tolerations: Any
) -> None:
    """What the model runs on. /dev/shm has no size of its own, which no parameter could set: the memory limit bounds it."""
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(gpus)
    task.set_cpu_request(cpu).set_memory_request("2Gi").set_memory_limit(memory)
    kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", medium="Memory")
    kubernetes.add_node_selector_json(task, node_selector)
    kubernetes.add_toleration_json(task, tolerations)
