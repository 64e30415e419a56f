# SPDX-License-Identifier: Apache-2.0
"""Small models to work on, and helpers for folders of tensors."""
import functools
import json
import pathlib

import libs
from libs import torch
from report import SOURCE, Skip, Wrong
from safetensors.torch import load_file

import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

transformers.logging.set_verbosity(transformers.logging.CRITICAL)
transformers.logging.disable_progress_bar()
torch.set_num_threads(2)
PROMPT = torch.tensor([[1, 17, 3, 250, 99, 42, 7, 7, 128, 5, 200, 61]])


@functools.lru_cache(maxsize=None)
def tiny(folder, name, dtype, layers=2, bias=False, tied=True):
    """A random Llama, 128 wide, 256 in its feed-forward part; saved by transformers. Weights of different size in each row,
    so that scales differ and a swapped group shows."""
    path = pathlib.Path(folder) / name
    config = LlamaConfig(hidden_size=128, intermediate_size=256, num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=2, vocab_size=256,
                         max_position_embeddings=64, tie_word_embeddings=tied, attention_bias=bias, mlp_bias=bias)
    torch.manual_seed(len(name))
    model = LlamaForCausalLM(config)
    for tensor_name, p in model.named_parameters():
        if p.ndim == 2 and "layers" in tensor_name:
            p.data *= torch.logspace(-1, 0.6, p.shape[0]).unsqueeze(1)[torch.randperm(p.shape[0])]
            p.data += 0.01 * torch.randn(p.shape[0], 1)
        elif p.ndim == 1:
            p.data += 0.05 * torch.randn(p.shape)
    model.to(dtype).save_pretrained(path)
    return path


def trained(report, name):
    path = SOURCE / "models" / "demo" if name == "demo" else report.models / name
    if not (path / "config.json").exists():
        raise Skip(f"{name} is not there; PARE_MODELS names the folder of models" if name != "demo" else "models/demo is not there")
    return path


def tensors(folder):
    """All tensors of a folder (or file) of safetensors, read by the safetensors library; an index must match the files."""
    folder = pathlib.Path(folder)
    files = [folder] if folder.is_file() else sorted(folder.glob("*.safetensors"))
    if not files:
        raise Wrong(f"no .safetensors in {folder.name}")
    found = {}
    for file in files:
        for name, value in load_file(file).items():
            if name in found:
                raise Wrong(f"{name} is in two files")
            found[name] = value
    index = folder / "model.safetensors.index.json"
    if index.exists() and set(json.loads(index.read_text())["weight_map"]) != set(found):
        raise Wrong("the index names other tensors than the files hold")
    return found


def config_of(folder):
    return json.loads((pathlib.Path(folder) / "config.json").read_text())


@libs.quiet
def _from_pretrained(cls, folder, **options):
    return cls.from_pretrained(str(folder), output_loading_info=True, **options)


def load(folder, ignore=(), **options):
    """from_pretrained that insists: every tensor of the file used, none made up, none of another shape."""
    model, info = _from_pretrained(AutoModelForCausalLM, folder, **options)
    complaints = []
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs", "conversion_errors"):
        names = [str(k) for k in (info.get(what) or ()) if not any(str(k).endswith(i) for i in ignore)]
        if names:
            complaints.append(f"{len(names)} {what.replace('_', ' ')} ({names[0]}{', ...' if len(names) > 1 else ''})")
    if complaints:
        raise Wrong("transformers: " + "; ".join(complaints))
    return model.eval()


def float_model(folder):
    return load(folder, dtype=torch.float32)


@libs.quiet
def logits(model):
    with torch.no_grad():
        vocabulary = model.config.vocab_size
        return model(PROMPT % vocabulary).logits.float()


def source_values(folder):
    """The f32 weights of a float model folder as transformers understands it, by parameter name (aliases once)."""
    model = float_model(folder)
    return dict(model.named_parameters())


def same(got, want, what):
    """Bit for bit, -0 equal to 0."""
    if got.shape != want.shape:
        raise Wrong(f"{what}: shape {list(got.shape)} instead of {list(want.shape)}")
    if not torch.equal(got, want):
        bad = torch.nonzero((got != want) & ~(torch.isnan(got) & torch.isnan(want)))
        if bad.numel() == 0:
            return
        at = tuple(bad[0].tolist())
        raise Wrong(f"{what}: {len(bad)} of {got.numel()} values differ, first at {list(at)}: {got[at].item()!r} instead of {want[at].item()!r}; "
                    f"largest difference {(got.double() - want.double()).abs().max().item():.3g}")


def close(got, want, tolerance, what):
    limit = tolerance * want.abs().max().item()
    worst = (got.double() - want.double()).abs().max().item()
    if not worst <= limit:
        raise Wrong(f"{what}: largest difference {worst:.3g}, allowed {limit:.3g}")
    return f"largest difference {worst:.2g}"
