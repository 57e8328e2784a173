"""The recipe against its peers' heads, its own parts left out, and fewer streams: on equal terms.

    OMP_NUM_THREADS=1 python benchmarks/recipes.py --out SCRATCH --seeds 0 1 2
"""
import argparse, dataclasses
from pathlib import Path
import recipe_runs
from recipe_contestants import CONTESTANTS
from omnidet import config, recipes
def main():
    p=argparse.ArgumentParser(); p.add_argument("--out",type=Path); p.add_argument("--data",type=Path); p.add_argument("--only",nargs="+",default=list(CONTESTANTS)); p.add_argument("--seeds",type=int,nargs="+",default=[0]); p.add_argument("--steps",type=int,default=1400); p.add_argument("--set",action="append",default=[])
    o=p.parse_args()
    r=config.override(recipes.by_name("tiny_world"), "mixing.workers=0", "train.checkpoint_every=50", f"train.steps={o.steps}", *o.set)
    for seed in o.seeds:
        for name in o.only:
            t=recipe_runs.Task(name, config.override(r,f"train.seed={seed}"), o.data, o.out)
            res=recipe_runs.result(t)
            print(name, seed, res["processor_minutes"], res["step_seconds"], res["parameters"], {k:round(v,3) for k,v in res["values"].items()}, res["curve"], res["inference"], flush=True)
main()
