"""Peer of `winnow prune --method wanda`: Wanda (Sun et al. 2024) written with PyTorch hooks, block after block, each fed by the pruned blocks
before it, 50 % of every output. python torchWanda.py FOLDER TEXT SAMPLES LENGTH THREADS OUT. Prints JSON; imports are not in the seconds."""
import json, sys, time
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

folder, text, samples, length, threads, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
torch.set_num_threads(threads)
start = time.perf_counter()
tokenizer, model = AutoTokenizer.from_pretrained(folder), GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
ids = torch.tensor(tokenizer(open(text, encoding="utf-8").read()).input_ids)
generator = torch.Generator().manual_seed(0)
starts = torch.randint(0, len(ids) - length, (samples,), generator=generator)
with torch.no_grad():
    states = [model.transformer.wte(ids[s:s + length][None]) + model.transformer.wpe(torch.arange(length))[None] for s in starts]
    for block in model.transformer.h:
        sums, handles = {}, []
        matrices = {name: module for name, module in block.named_modules() if isinstance(module, Conv1D)}
        for name, module in matrices.items():
            def add(_, args, __, name=name):
                sums[name] = sums.get(name, 0) + args[0].reshape(-1, args[0].shape[-1]).square().sum(0)
            handles.append(module.register_forward_hook(add))
        for state in states:
            block(state)
        for handle in handles:
            handle.remove()
        for name, module in matrices.items():
            score = module.weight.abs() * sums[name].sqrt()[:, None]
            order = torch.sort(score, dim=0, stable=True)[1]
            module.weight.data.scatter_(0, order[:order.shape[0] // 2], 0)
        after = [block(state) for state in states]
        states = [state[0] if isinstance(state, tuple) else state for state in after]
    model.save_pretrained(out)
print(json.dumps({"seconds": time.perf_counter() - start, "torch": torch.__version__}))
