"""The steps on a cluster: one file a KFP step, thin over `omnidet.steps`; and what minds jobs there.

    step ──▶ trainjob.run ──manifest──▶ TrainJob ──▶ pods running `torchrun -m omnidet.cli train`
                   │                                  │
                   └──── states, logs, reasons ◀──────┘         reaper: deletes what a killed step left behind

To add a step, write one function in `omnidet/steps.py` and one file here. Only this package talks to Kubernetes.
"""
