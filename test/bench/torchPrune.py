"""Peer of `winnow prune`: torch.nn.utils.prune.global_unstructured over N F32 weights in memory. Prints JSON."""
import json, resource, sys, time
import torch
from torch.nn.utils import prune

total = int(float(sys.argv[1]))
side = 3000
layers = [torch.nn.Linear(side, side, bias=False) for _ in range(max(1, total // (side * side)))]
weights = sum(layer.weight.numel() for layer in layers)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
start = time.perf_counter()
prune.global_unstructured([(layer, "weight") for layer in layers], pruning_method=prune.L1Unstructured, amount=0.5)
seconds = time.perf_counter() - start
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"weights": weights, "seconds": seconds, "extraBytes": after - before, "torch": torch.__version__}))
