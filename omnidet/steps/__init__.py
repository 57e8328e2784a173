"""One function per pipeline step: locations (local paths or s3://) in, locations out.

`train_detector/` and `retrain.py` share their names with the pipelines and recipes that they
belong to. The command line, `dvc.yaml` and the Kubeflow components are thin callers of these. Each
step writes its output whole or not at all.
"""
