"""What the bodies of the components call.

configuration   parameters of a run -> its settings and folders, checked
places          where a run keeps what it makes
train_detector  one function for each step of that pipeline; `training` holds its train step
retrain         the same for the retraining; `asked_for` checks what it is asked for
again           steps that outlast an outage
artifacts       what the UI of Kubeflow Pipelines shows
"""
