"""A trained detector for other runtimes: ONNX, and torch's own exported programs.

    detector ──graph──▶ a module of tensors alone ──torch.export──▶ model.pt2
                                                         └──onnx_file──▶ model.onnx (float32, int8)
    both and the detector ──comparison──▶ differences, refused where they are too large

`write` of `write.py` is the whole of it. `omnidet.onnx` runs what it wrote, without torch.
"""
