"""A training on several nodes: a TrainJob of Kubeflow Trainer.

    job.run ──manifest──▶ TrainJob ──▶ pods running `torchrun -m omnidet.cli train`
       │                                  │
       └──── states, logs, reasons ◀──pods┘         reaper: deletes what a killed step left behind

Only this package talks to Kubernetes (`cluster.py`). Why it uses neither the Kubeflow SDK nor its
models: `docs/decisions/0011-libraries.md`.
"""
