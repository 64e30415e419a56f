# SPDX-License-Identifier: Apache-2.0
"""Containers (torch zip and legacy, npy, npz, safetensors) and number formats: `pare convert` against torch and numpy."""
import collections
import json
import struct

import models
import numpy as np
import torch
from report import SOURCE, Skip, Wrong
from safetensors import safe_open
from safetensors.torch import load_file, save_file

GOLDEN = SOURCE / "tests" / "golden" / "containers"
SAFE = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "uint8": "U8",
        "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL", "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}


def raw_tensors(path):
    """name -> (dtype, shape, bytes) of a safetensors file or folder, read by hand (the header is checked by the library)."""
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if not files:
        raise Wrong("no .safetensors is written")
    found = {}
    for file in files:
        with safe_open(file, "pt") as opened:
            names = set(opened.keys())
        data = file.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + size])
        header.pop("__metadata__", None)
        if set(header) != names:
            raise Wrong("safetensors reads other names than the header has")
        for name, t in header.items():
            begin, end = t["data_offsets"]
            found[name] = (t["dtype"], t["shape"], data[8 + size + begin:8 + size + end])
    return found


def describe(value):
    if isinstance(value, torch.Tensor):
        value = value.detach().contiguous()
        raw = value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
        return SAFE[str(value.dtype)[6:]], list(value.shape), raw
    native = value.dtype.newbyteorder("=")
    return SAFE[native.name], list(value.shape), np.ascontiguousarray(value.astype(native)).tobytes()


def match(found, want):
    """The same tensors under the same names; a prefix that all names share may be left out, and one tensor may have any name."""
    if len(found) != len(want):
        raise Wrong(f"{len(found)} tensors instead of {len(want)}: {sorted(found)[:4]}")
    if len(want) == 1:
        found = dict(zip(want, found.values()))
    elif set(found) != set(want):
        for name in sorted(want):
            cut = [name[i + 1:] for i, c in enumerate(name) if c == "."]
            drop = next((len(name) - len(c) for c in cut if {w[len(name) - len(c):] for w in want} == set(found)), None)
            if drop:
                want = {w[drop:]: t for w, t in want.items()}
                break
        else:
            raise Wrong(f"names {sorted(found)[:3]} instead of {sorted(want)[:3]}")
    for name, (dtype, shape, raw) in want.items():
        got = found[name]
        if got[0] != dtype or list(got[1]) != list(shape):
            raise Wrong(f"{name}: {got[0]} {got[1]} instead of {dtype} {shape}")
        if got[2] != raw:
            raise Wrong(f"{name}: other bytes")
    return f"{len(want)} tensors"


def convert(report, path, *arguments, status=0):
    out = report.scratch("converted")
    text = report.pare("convert", path, "-o", out, "--container", "safetensors", "--overwrite", "--quiet", *arguments, status=status)
    return raw_tensors(out) if status == 0 else (text, out)


def golden(report):
    expected = json.loads((GOLDEN / "expected.json").read_text())
    for name, entry in expected["files"].items():
        def check(name=name, entry=entry):
            if entry.get("refuse"):
                text, out = convert(report, GOLDEN / name, status=1)
                if "pare: error:" not in text or "must never run" in text or out.exists():
                    raise Wrong(f"not refused cleanly: {text.strip()[:200]}")
                return "refused"
            want = {k: (t["dtype"], t["shape"], bytes.fromhex(t["hex"])) for k, t in entry["tensors"].items()}
            return match(convert(report, GOLDEN / name), want)
        report.check(f"container golden {name}: {entry['about']}", check)


# ----------------------------------------------------------------------------------------- larger files, made on the spot
def flatten(value, prefix=""):
    found = {}
    for key, item in value.items():
        if isinstance(item, torch.Tensor):
            found[prefix + str(key)] = item
        elif isinstance(item, dict):
            found |= flatten(item, f"{prefix}{key}.")
    return found


def big_state():
    torch.manual_seed(5)
    base = torch.randn(300, 200)
    state = collections.OrderedDict()
    state["plain"] = torch.randn(1000, 33)
    state["transposed"] = base.t()
    state["slice"] = base[10:200:3, 5:100:2]
    state["shared"] = base
    state["half"] = torch.randn(64, 65).half()
    state["bf16"] = torch.randn(7, 11, 13).bfloat16()
    state["double"] = torch.randn(50, dtype=torch.float64)
    state["int64"] = torch.randint(-2**60, 2**60, (17,))
    state["bool"] = torch.rand(40) > 0.5
    state["name with spaces/and.dots"] = torch.arange(5)
    for i in range(300):
        state[f"many.{i}.weight"] = torch.full((3,), float(i))
    return state


def torch_files(report):
    for form, options in (("zip", {}), ("legacy", {"_use_new_zipfile_serialization": False}), ("zip, pickle protocol 4", {"pickle_protocol": 4})):
        for kind in ("state dict", "checkpoint", "module's state dict"):
            def check(kind=kind, options=options):
                if kind == "module's state dict":
                    content = torch.nn.TransformerEncoderLayer(32, 4, 64).state_dict()
                else:
                    content = big_state()
                    if kind == "checkpoint":
                        content = {"state_dict": content, "epoch": 3, "optimizer": {"lr": 0.1, "betas": (0.9, 0.999), "names": ["a", "b"]}}
                path = report.folder / "file.pt"
                torch.save(content, path, **options)
                return match(convert(report, path), {k: describe(v) for k, v in flatten(content).items()})
            report.check(f"container torch {form}: {kind}", check)

    def folder():
        out = report.scratch("bin-folder")
        source = models.tiny(report.folder, "tiny-bf16", torch.bfloat16)
        out.mkdir()
        (out / "config.json").write_text((source / "config.json").read_text())
        state = load_file(source / "model.safetensors")
        torch.save(state, out / "pytorch_model.bin")
        return match(convert(report, out), {k: describe(v) for k, v in state.items()})
    report.check("container torch: folder with pytorch_model.bin", folder)

    def sharded():
        out = report.scratch("bin-sharded")
        out.mkdir()
        state = {f"layer.{i}.weight": torch.randn(8, 8) for i in range(4)}
        names = sorted(state)
        for i in range(2):
            torch.save({n: state[n] for n in names[2 * i:2 * i + 2]}, out / f"pytorch_model-0000{i + 1}-of-00002.bin")
        index = {"metadata": {"total_size": 1024}, "weight_map": {n: f"pytorch_model-0000{i // 2 + 1}-of-00002.bin" for i, n in enumerate(names)}}
        (out / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        (out / "config.json").write_text("{}")
        return match(convert(report, out), {k: describe(v) for k, v in state.items()})
    report.check("container torch: sharded pytorch_model-0000N-of-00002.bin with an index", sharded)

    def resnet():
        path = report.models / "resnet-cifar10" / "resnet20-12fca82f.th"
        if not path.exists():
            raise Skip("resnet-cifar10 is not there; PARE_MODELS names the folder of models")
        content = torch.load(path, map_location="cpu", weights_only=True)
        return match(convert(report, path), {k: describe(v) for k, v in flatten(content).items()})
    report.check("container torch: a ResNet-20 published in the legacy form", resnet)


def threads(report):
    """Tensors that must be copied before use (not aligned, compressed) read by several threads: the same bytes every time."""
    def check():
        state = big_state()
        path = report.folder / "threads.pt"
        torch.save(state, path, _use_new_zipfile_serialization=False)
        arrays = report.folder / "threads.npz"
        np.savez(arrays, **{f"a{i}": np.full((3 + i % 5, 7), i, dtype=("i8", "f4", "u1", "f2")[i % 4]) for i in range(200)})
        for file in (path, arrays):
            first = convert(report, file, "--threads", "1")
            for run in range(6):
                if convert(report, file, "--threads", "4") != first:
                    raise Wrong(f"{file.name}: 4 threads give other bytes than 1 (run {run + 1})")
    report.check("container: 1 and 4 threads read the same", check)


def numpy_files(report):
    rng = np.random.default_rng(7)
    for order in ("C", "F"):
        def check(order=order):
            arrays = {}
            for code in ("f8", "f4", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8"):
                array = (rng.standard_normal((33, 17, 5)) * 100).astype(code)
                arrays[code.replace("?", "bool")] = np.asfortranarray(array) if order == "F" else array
            for write, name in ((np.savez, "stored.npz"), (np.savez_compressed, "deflated.npz")):
                path = report.folder / name
                write(path, **arrays)
                match(convert(report, path), {k: describe(v) for k, v in arrays.items()})
            return f"{len(arrays)} dtypes, stored and deflated"
        report.check(f"container npz: every dtype, {order} order", check)
    for version in ((1, 0), (2, 0), (3, 0)):
        for code in (">f4", "<f4", ">i8", "<f2", ">u2"):
            def check(version=version, code=code):
                array = (rng.standard_normal((9, 31)) * 50).astype(code)
                path = report.folder / "one.npy"
                with open(path, "wb") as file:
                    np.lib.format.write_array(file, array, version=version)
                return match(convert(report, path), {"": describe(array)})
            report.check(f"container npy version {version[0]}.{version[1]}, {code}", check)

    def back():
        out = report.scratch("npz-out")
        source = models.tiny(report.folder, "tiny-f32", torch.float32, tied=False)
        report.pare("convert", source, "-o", out, "--container", "npz", "--overwrite", "--quiet")
        state, files, found = load_file(source / "model.safetensors"), sorted(out.glob("*.npz")), {}
        for file in files:
            with np.load(file) as archive:
                found |= {k: archive[k] for k in archive.files}
        if set(found) != set(state):
            raise Wrong(f"{len(found)} arrays instead of {len(state)}")
        for name, value in state.items():
            if not np.array_equal(found[name], value.numpy()):
                raise Wrong(f"{name}: other values")
        return f"{len(found)} arrays"
    report.check("container npz: numpy reads what pare writes", back)


# --------------------------------------------------------------------------------------------------------- number formats
def edge_values():
    """Every f32 exponent and sign with several mantissas, ties and their neighbours for each narrower type, random bits."""
    rng = np.random.default_rng(3)
    high = np.arange(65536, dtype=np.uint32) << 16
    parts = [high | low for low in (0x0000, 0x0001, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x0FFF, 0x1000, 0x1001)]
    parts.append(rng.integers(0, 2**32, 100000, dtype=np.uint64).astype(np.uint32))
    parts.append((rng.standard_normal(100000).astype(np.float32) * 0.1).view(np.uint32))
    values = np.concatenate(parts).view(np.float32)
    return torch.from_numpy(values[np.isfinite(values)].copy())


TARGETS = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f8_e4m3fn": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2}
TOP = {"f32": 3.4028235e38, "f16": 65504.0, "bf16": 3.3895314e38, "f8_e4m3fn": 448.0, "f8_e5m2": 57344.0}


def numbers(report):
    values = edge_values()

    def cast(name, source, target):
        path = report.folder / "numbers.safetensors"
        save_file({"x": source.contiguous()}, path)
        found = convert(report, path, "--dtype", name, "--allow-nonfinite")["x"]
        if found[0] != SAFE[str(target)[6:]]:
            raise Wrong(f"dtype {found[0]}")
        return torch.frombuffer(bytearray(found[2]), dtype=torch.uint8).view(target)

    for source_name, source_dtype in (("f64", torch.float64), ("f32", torch.float32), ("f16", torch.float16), ("bf16", torch.bfloat16)):
        for name, target in TARGETS.items():
            if name == source_name:
                continue
            def in_range(source_name=source_name, source_dtype=source_dtype, name=name, target=target):
                source = values[values.abs() <= TOP[name]].to(source_dtype)
                if source_dtype is torch.float64:
                    source = source * (1 + torch.linspace(0, 1e-9, source.numel(), dtype=torch.float64))
                source = source[torch.isfinite(source) & (source.double().abs() <= TOP[name])]
                got, want = cast(name, source, target), source.to(target)
                bad = got.float() != want.float()
                if source_dtype is torch.float64 and name != "f32":      # torch goes by way of f32 for some of these: one rounding is better
                    bad &= (got.double() - source).abs() > (want.double() - source).abs()
                signs = torch.signbit(got.float()) != torch.signbit(want.float())
                if bad.any() or signs.any():
                    at = int(torch.nonzero(bad | signs)[0])
                    raise Wrong(f"{int((bad | signs).sum())} of {source.numel()} differ, first {source[at].item()!r}: {got[at].float().item()!r} instead of {want[at].float().item()!r}")
                return f"{source.numel()} values"
            report.check(f"numbers {source_name} -> {name} equals torch", in_range)

    # With --allow-nonfinite values beyond the range become infinite, or NaN where the type has no infinity; saturating is fine too.
    for name, target in TARGETS.items():
        if name == "f32":
            continue
        def beyond(name=name, target=target):
            source = torch.tensor([1e39, -1e39, float("inf"), float("-inf"), TOP[name] * 1.5, -TOP[name] * 4], dtype=torch.float64).float()
            source = torch.cat([source, torch.tensor([float("nan")])])
            got, want = cast(name, source, target).float(), source.to(target).float()
            clamped = torch.where(source.isnan(), source, source.clamp(-TOP[name], TOP[name])).to(target).float()
            infinite = torch.where(source.abs() > TOP[name], source * float("inf"), source).to(target).float()
            if name == "f8_e4m3fn":
                infinite[source.abs() > TOP[name]] = float("nan")
            for rule, reference in (("as torch", want), ("saturates", clamped), ("infinite or NaN", infinite)):
                if torch.equal(torch.nan_to_num(got, nan=-1.25), torch.nan_to_num(reference, nan=-1.25)):
                    return f"overflow: {rule}"
            raise Wrong(f"{source.tolist()} become {got.tolist()}, torch says {want.tolist()}")
        report.check(f"numbers f32 -> {name}: overflow, infinities, NaN", beyond)

    def integers():
        path = report.folder / "integers.safetensors"
        state = {"i": torch.arange(5), "u": torch.arange(5, dtype=torch.uint8), "b": torch.tensor([True, False]), "f": torch.randn(4)}
        save_file(state, path)
        found = convert(report, path, "--dtype", "bf16")
        want = {k: describe(v if k != "f" else v.bfloat16()) for k, v in state.items()}
        return match(found, want)
    report.check("numbers: integer buffers stay as they are", integers)


def run(report):
    golden(report)
    torch_files(report)
    threads(report)
    numpy_files(report)
    numbers(report)
