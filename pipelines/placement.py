"""What the steps of every pipeline need from the cluster. Local runs ignore all of it.

`set_env_variable` is not used: it would replace what `DockerRunner` passes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kfp import kubernetes

HOUR = 3600


@dataclass(frozen=True)
class Store:
    """How the steps find the object store: a parameter of the pipeline."""

    name: Any
    """Of the Secret and of the ConfigMap."""


@dataclass(frozen=True)
class Machine:
    """What a pod that runs the model needs: parameters of the pipeline, or outputs of a step."""

    gpus: Any
    """Text, empty for none. KFP's driver (2.17) reads a limit as text: a parameter that is a number
    is no limit, and the pod gets no GPU."""
    cpu: Any
    memory: Any
    node_selector: Any
    tolerations: Any

    @classmethod
    def of_train_step(cls, asked: Any) -> Machine:
        """That of the train step, from the outputs of the step that checked the parameters."""
        parts = ("gpus", "cpu", "memory", "node_selector", "tolerations")
        return cls(*(asked[f"train_{part}"] for part in parts))


def prepare(task: Any, store: Store, hours: int = 1, is_cached: bool = True) -> None:
    """Give a step what every step has: the object store, two more tries, a time-out, caching."""
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    kubernetes.use_secret_as_env(task, store.name, {key: key for key in keys}, optional=True)
    settings = ("AWS_ENDPOINT_URL", "AWS_REGION", "OMNIDET_CA_CERTIFICATES")
    kubernetes.use_config_map_as_env(
        task, store.name, {key: key for key in settings}, optional=True
    )
    # The images name a user that is not root. A namespace that enforces the Pod Security Standard
    # `restricted` also wants the pod to say so.
    kubernetes.set_security_context(task, run_as_non_root=True)
    kubernetes.set_timeout(task, hours * HOUR)
    task.set_retry(
        num_retries=2, backoff_duration="10s", backoff_factor=2, backoff_max_duration="10m"
    )
    task.set_caching_options(enable_caching=is_cached)


def tell_registry(task: Any, store: Store) -> None:
    """Give a step the address of Kubeflow's Model Registry, if the ConfigMap has one."""
    kubernetes.use_config_map_as_env(
        task, store.name, {"MODEL_REGISTRY_ADDRESS": "MODEL_REGISTRY_ADDRESS"}, optional=True
    )


def tell_runtime(task: Any) -> None:
    """Tell a step that starts a TrainJob which TrainingRuntime the manifests have made."""
    name = "OMNIDET_TRAINING_RUNTIME"
    kubernetes.use_config_map_as_env(task, "omnidet-training", {name: name}, optional=True)


def place(task: Any, machine: Machine) -> None:
    """Put a step where the model runs.

    /dev/shm has no size of its own, because no parameter could set it: the memory limit bounds it.
    """
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(machine.gpus)
    task.set_cpu_request(machine.cpu)
    task.set_memory_request("2Gi").set_memory_limit(machine.memory)
    kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", medium="Memory")
    kubernetes.add_node_selector_json(task, machine.node_selector)
    kubernetes.add_toleration_json(task, machine.tolerations)
