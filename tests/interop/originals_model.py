# SPDX-License-Identifier: Apache-2.0
"""Whole small Llamas quantized by the originals, layer by layer as the originals do it, and measured against the float model.

A model is walked block by block: the hidden states of all calibration windows enter a block, its linear layers are quantized
with the inputs that the already quantized part produces, and the quantized block's output enters the next one.
"""
import json
import math
import struct
import time

import libs
import models
import originals
from libs import torch

STEPS = (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("self_attn.o_proj",), ("mlp.gate_proj", "mlp.up_proj"), ("mlp.down_proj",))
LINEARS = [name for step in STEPS for name in step]
CHUNK = 32                                                     # windows that go through a block together


# -------------------------------------------------------------------------------------------------------------- tokens
class Llama2cTokenizer:
    """The tokenizer file of llama2.c: BPE by score, one leading space, bytes that are no piece as <0xXX> (id 3 + byte)."""

    def __init__(self, path):
        data, at, self.score, self.index = path.read_bytes(), 4, [], {}
        while at < len(data):
            score, length = struct.unpack_from("<fi", data, at)
            self.index.setdefault(data[at + 8 : at + 8 + length], len(self.score))
            self.score.append(score)
            at += 8 + length
        self.known = {}

    def word(self, text):
        """Merges inside one word with its leading space: no piece has a space inside."""
        if text not in self.known:
            parts = []
            for char in text:
                raw = char.encode()
                parts += [raw] if raw in self.index else [bytes([b]) for b in raw]
            ids = [self.index[p] if p in self.index else 3 + p[0] for p in parts]
            while True:
                best = max(((self.score[self.index[a + b]], -i) for i, (a, b) in enumerate(zip(parts, parts[1:])) if a + b in self.index), default=None)
                if best is None:
                    break
                i = -best[1]
                parts[i : i + 2] = [parts[i] + parts[i + 1]]
                ids[i : i + 2] = [self.index[parts[i]]]
            self.known[text] = ids
        return self.known[text]

    def encode(self, text):
        ids = []
        for i, part in enumerate((" " + text).split(" ")[1:]):
            ids += self.word(" " + part)
        return ids


def encoder(folder):
    for name in ("tok512.bin", "tok4096.bin"):
        for place in (folder, folder.parent):
            if (place / name).exists() and not (folder / "tokenizer.json").exists():
                return Llama2cTokenizer(place / name).encode
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def story_windows(folder, stories, first, count, length):
    """[count, length]: stories one after the other, each with its BOS (1), from story `first` on."""
    encode, ids = encoder(folder), []
    for story in stories[first:]:
        ids += [1] + encode(story)
        if len(ids) >= count * length:
            return torch.tensor(ids[: count * length]).reshape(count, length)
    raise models.Wrong(f"{len(ids)} tokens of text, {count * length} wanted")


def windows(folder, texts, calibration=(128, 256), evaluation=(20, 512)):
    """Calibration and evaluation windows. Demo model: both from its held-out text, which is small: 40 windows at most, the
    evaluation after them. The others: TinyStories, evaluation from story 0 on, calibration from story 400 on."""
    held_out = folder / "heldout.txt"
    if held_out.exists():
        ids = torch.tensor(encoder(folder)(held_out.read_text()))
        count = min(calibration[0], 40)
        cut, take = count * calibration[1], evaluation[0] * evaluation[1]
        return ids[:cut].reshape(count, -1), ids[cut : cut + take].reshape(-1, evaluation[1])
    stories = json.loads((texts / "tinystories_1000.json").read_text())
    return story_windows(folder, stories, 400, *calibration), story_windows(folder, stories, 0, *evaluation)


# ---------------------------------------------------------------------------------------------------------- evaluation
@torch.no_grad()
def log_probabilities(model, tokens):
    """[windows, length, vocabulary] in f32, a window at a time."""
    return torch.cat([torch.log_softmax(model(row.unsqueeze(0)).logits.float(), -1) for row in tokens])


@torch.no_grad()
def measure(model, reference, tokens):
    """KL(reference || model), the mean over all positions, perplexity of the next tokens, agreement of the best token."""
    kl = nll = same = 0.0
    for row, ref in zip(tokens, reference):
        got = torch.log_softmax(model(row.unsqueeze(0)).logits[0].float(), -1)
        kl += float((ref.exp() * (ref - got)).sum(-1).double().sum())
        nll -= float(got[:-1].gather(1, row[1:, None]).double().sum())
        same += float((got.argmax(-1) == ref.argmax(-1)).sum())
    count, length = tokens.shape
    return {"kl_mean": kl / (count * length), "ppl": math.exp(nll / (count * (length - 1))), "top1": same / (count * length)}


# ---------------------------------------------------------------------------------------------------------------- walk
class Walk:
    """Hidden states of all windows on their way through a model's blocks; the last block's output is not kept."""

    def __init__(self, model, tokens):
        self.model, self.blocks, self.kwargs = model, model.model.layers, {}
        self.hidden = []
        handle = self.blocks[0].register_forward_pre_hook(self._catch, with_kwargs=True)
        with torch.no_grad():
            for rows in tokens.split(CHUNK):
                try:
                    model.model(rows, use_cache=False)
                except StopIteration:
                    pass
        handle.remove()

    def _catch(self, module, args, kwargs):
        self.hidden.append(args[0] if args else kwargs.pop("hidden_states"))
        self.kwargs.setdefault(self.hidden[-1].shape[0], {k: v for k, v in kwargs.items() if k != "hidden_states"})
        raise StopIteration

    @torch.no_grad()
    def forward(self, block):
        outputs = [block(x, **self.kwargs[x.shape[0]]) for x in self.hidden]
        return [y[0] if isinstance(y, tuple) else y for y in outputs]

    @torch.no_grad()
    def inputs(self, block, step):
        """[windows, length, in]: what the layers of one step read. The block is left as soon as that is known."""
        found = []

        def catch(module, args):
            found.append(args[0])
            raise StopIteration

        handle = block.get_submodule(step[0]).register_forward_pre_hook(catch)
        for x in self.hidden:
            try:
                block(x, **self.kwargs[x.shape[0]])
            except StopIteration:
                pass
        handle.remove()
        return torch.cat(found)

    @torch.no_grad()
    def all_inputs(self, block):
        """name -> [windows, length, in] of every linear layer (one tensor for those that read the same), and the block's output."""
        found, handles = {step[0]: [] for step in STEPS}, []
        for n, rows in found.items():
            handles.append(block.get_submodule(n).register_forward_pre_hook(lambda m, args, rows=rows: rows.append(args[0])))
        output = self.forward(block)
        for handle in handles:
            handle.remove()
        whole = {n: torch.cat(rows) for n, rows in found.items()}
        return {n: whole[step[0]] for step in STEPS for n in step}, output


def float_inputs(model, tokens):
    """Per block: inputs of every linear layer of the float model, and the block's own input and output chunks."""
    walk, rows = Walk(model, tokens), []
    for block in walk.blocks:
        inputs, output = walk.all_inputs(block)
        rows.append((inputs, walk.hidden, output))
        walk.hidden = output
    return rows, walk.kwargs


# ------------------------------------------------------------------------------------------------------------ quantizing
def quantize_plain(model, tokens, method, bits, group, sym):
    """Methods that look at weights only."""
    for block in model.model.layers:
        for name in LINEARS:
            layer = block.get_submodule(name)
            layer.weight.data = method(layer.weight.data, None, bits, group, sym)


def quantize_sequential(model, tokens, method, bits, group, sym, at_once=False):
    """gptqmodel (true_sequential): steps one after the other, each seeing the quantized ones before; llm-compressor: a block at once."""
    walk = Walk(model, tokens)
    for block in walk.blocks:
        inputs = walk.all_inputs(block)[0] if at_once else None
        for step in STEPS:
            x = inputs[step[0]] if at_once else walk.inputs(block, step)
            for name in step:
                layer = block.get_submodule(name)
                layer.weight.data = method(layer.weight.data, x, bits, group, sym)
        walk.hidden = walk.forward(block)


def quantize_gptaq(model, tokens, bits, group, sym, floats, **options):
    walk = Walk(model, tokens)
    for block, (native, _, _) in zip(walk.blocks, floats):
        for step in STEPS:
            x = walk.inputs(block, step)
            for name in step:
                layer = block.get_submodule(name)
                layer.weight.data = originals.gptqmodel_gptaq(layer.weight.data, x, bits, group, sym, native=native[name], **options)
        walk.hidden = walk.forward(block)


def awq_groups(block, inputs, kwargs):
    """What is scaled together in a Llama block: each norm with the layers that read it, v with o (when of one shape), up with down."""
    attention, mlp = block.self_attn, block.mlp
    rows = [dict(prev_op=block.input_layernorm, layers=[attention.q_proj, attention.k_proj, attention.v_proj], inp=inputs["self_attn.q_proj"],
                 module2inspect=attention, kwargs=kwargs)]
    if attention.v_proj.weight.shape == attention.o_proj.weight.shape:
        rows.append(dict(prev_op=attention.v_proj, layers=[attention.o_proj], inp=inputs["self_attn.o_proj"]))
    rows.append(dict(prev_op=block.post_attention_layernorm, layers=[mlp.gate_proj, mlp.up_proj], inp=inputs["mlp.gate_proj"], module2inspect=mlp))
    rows.append(dict(prev_op=mlp.up_proj, layers=[mlp.down_proj], inp=inputs["mlp.down_proj"]))
    return rows


@libs.quiet
@torch.no_grad()
def quantize_awq(model, tokens, bits, group, sym):
    """AwqQuantizer.quantize, block by block: inputs of the float block fed by the float model (autoawq moves self.inps on before it
    quantizes), scales of all groups searched, then applied, then clipping (not q and k), then rounding."""
    scale = originals._awq_quantizer()[1]
    walk = Walk(model, tokens)
    kwargs = {}
    for block in walk.blocks:
        inputs, output = walk.all_inputs(block)
        inputs = {n: x.clone() for n, x in inputs.items()}         # apply_scale divides them in place, each by name
        kwargs = _whole_kwargs(walk, tokens)
        task = originals.awq_quantizer(bits, group, sym)
        found = []
        for row in awq_groups(block, inputs, kwargs):
            task.group_size = originals.columns_of_group(row["layers"][0].weight, group)
            found.append(task._search_best_scale(block, **row))
        scale.apply_scale(block, found, input_feat_dict=inputs)
        for name in LINEARS:
            layer = block.get_submodule(name)
            task.group_size = originals.columns_of_group(layer.weight, group)
            if not any(part in name for part in ("q_", "k_")):
                scale.apply_clip(block, [(name, originals.awq_clip(task, layer.weight.data, inputs[name]))])
            layer.weight.data = task.pseudo_quantize_tensor(layer.weight.data)[0]
        walk.hidden = output


def _whole_kwargs(walk, tokens):
    """The keyword arguments of attention for all windows at once: positions and rotary tables do not depend on the window."""
    kwargs = dict(next(iter(walk.kwargs.values())))
    table = kwargs.get("position_embeddings")
    kwargs["position_embeddings"] = tuple(t[:1] for t in table)
    kwargs["position_ids"] = kwargs["position_ids"][:1] if kwargs.get("position_ids") is not None else None
    if kwargs.get("attention_mask") is not None:
        kwargs["attention_mask"] = kwargs["attention_mask"][:1]
    return kwargs


class Int8Linear(torch.nn.Module):
    """A W8A8 layer: weight rounded per output channel, inputs per token, or by one fixed scale (static)."""

    def __init__(self, weight, static=None):
        super().__init__()
        self.weight = torch.nn.Parameter(originals.int8_rows(weight), requires_grad=False)
        self.static = static

    def forward(self, x):
        if self.static is None:
            return originals.int8_rows(x) @ self.weight.T
        return torch.round(x / self.static).clamp(-127, 127) * self.static @ self.weight.T


@torch.no_grad()
def quantize_w8a8(model, floats, smooth=None, static=False):
    """Plain (smooth None) or SmoothQuant W8A8, alpha = smooth, the scales folded into the two norms of a block as its authors do;
    o_proj and down_proj are not smoothed. Static: one activation scale a layer, absmax over the calibration tokens."""
    for block, (inputs, _, _) in zip(model.model.layers, floats):
        tops = {n: inputs[n].abs().reshape(-1, inputs[n].shape[-1]).amax(0) for n in LINEARS}
        for norm, step in ((block.input_layernorm, STEPS[0]), (block.post_attention_layernorm, STEPS[2])):
            if smooth is not None:
                s = originals.smooth_scales([block.get_submodule(n).weight for n in step], tops[step[0]], smooth)
                norm.weight.div_(s)
                for n in step:
                    block.get_submodule(n).weight.mul_(s)
                    tops[n] = tops[n] / s
        for name in LINEARS:
            parent, leaf = name.split(".")
            layer = Int8Linear(block.get_submodule(name).weight, tops[name].max() / 127 if static else None)
            setattr(block.get_submodule(parent), leaf, layer)


@torch.no_grad()
def quantize_llm_int8(model, threshold=6.0):
    for block in model.model.layers:
        for name in LINEARS:
            parent, leaf = name.split(".")
            setattr(block.get_submodule(parent), leaf, HalfInputs(originals.bnb_linear8(block.get_submodule(name).weight.data, threshold)))


class HalfInputs(torch.nn.Module):
    """bitsandbytes' int8 layer computes in f16: its inputs are cast, its output cast back."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.half()).float()


# -------------------------------------------------------------------------------------------------------------- errors
@torch.no_grad()
def block_error(model, floats, kwargs):
    """Sum over blocks of ||block_q(X) - block(X)||^2 / ||block(X) - X||^2, X of the float model: the same for folded scales."""
    total = 0.0
    for block, (_, hidden, output) in zip(model.model.layers, floats):
        wrong = right = 0.0
        for x, y in zip(hidden[:1], output):                       # the first CHUNK windows
            z = block(x, **kwargs[x.shape[0]])
            z = z[0] if isinstance(z, tuple) else z
            wrong += float((z - y).double().square().sum())
            right += float((y - x).double().square().sum())
        total += wrong / right
    return total


def hessians(floats):
    """Per block: name -> X^T X of the float model, in f64."""
    rows = []
    for inputs, _, _ in floats:
        flat = {n: x.reshape(-1, x.shape[-1]).double() for n, x in inputs.items()}
        step = {step[0]: flat[step[0]].T @ flat[step[0]] for step in STEPS}
        rows.append({n: step[step_of[0]] for step_of in STEPS for n in step_of})
    return rows


def layer_error(model, original, squares):
    """Sum over the linear layers of ||X (W - Wq)^T||^2 = trace((W - Wq) X^T X (W - Wq)^T), X of the float model."""
    total = 0.0
    for block, first, square in zip(model.model.layers, original.model.layers, squares):
        for n in LINEARS:
            difference = (first.get_submodule(n).weight.data - block.get_submodule(n).weight.data).double()
            total += float(((difference @ square[n]) * difference).sum())
    return total


def timed(function, *args, **kwargs):
    start = time.monotonic()
    function(*args, **kwargs)
    return round(time.monotonic() - start, 3)
