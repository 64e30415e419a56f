#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes containers/: small files as torch and numpy write them, and expected.json with what they hold (see README.md)."""
import collections
import io
import json
import pathlib
import pickle
import shutil
import sys
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))
import numpy as np  # noqa: E402
import libs  # noqa: E402
from libs import torch  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "containers"
NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
         "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL", "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}
expected = {}


def describe(value):
    """dtype (safetensors name), shape and the bytes in row-major little-endian order, as hex."""
    if isinstance(value, torch.Tensor):
        value = value.detach().contiguous()
        raw = value.reshape(-1).view(torch.uint8) if value.numel() else torch.zeros(0, dtype=torch.uint8)
        return {"dtype": NAMES[str(value.dtype)[6:]], "shape": list(value.shape), "hex": raw.numpy().tobytes().hex()}
    array = np.ascontiguousarray(value).reshape(value.shape)
    return {"dtype": NAMES[array.dtype.newbyteorder("=").name], "shape": list(array.shape), "hex": array.astype(array.dtype.newbyteorder("<")).tobytes().hex()}


def flatten(value, prefix=""):
    """Nested dictionaries and lists of tensors become dotted names; everything else in them is dropped."""
    found = {}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, item in items:
        if isinstance(item, torch.Tensor):
            found[f"{prefix}{key}"] = item
        else:
            found |= flatten(item, f"{prefix}{key}.")
    return found


def torch_file(name, content, about, tensors=None, **options):
    torch.save(content, HERE / name, **options)
    tensors = flatten(content) if tensors is None else tensors
    expected[name] = {"about": about, "tensors": {k: describe(v) for k, v in tensors.items()}}


def numpy_file(name, array, about, version=None):
    with open(HERE / name, "wb") as file:
        np.lib.format.write_array(file, array, version=version, allow_pickle=False)
    expected[name] = {"about": about, "tensors": {"": describe(array)}}


def refused(name, content, about):
    (HERE / name).write_bytes(content)
    expected[name] = {"about": about, "refuse": True}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Linear(3, 2)
        self.bn = torch.nn.BatchNorm1d(2)
        with torch.no_grad():
            self.a.weight.copy_(torch.arange(6.0).reshape(2, 3) / 4)
            self.a.bias.copy_(torch.tensor([-1.0, 0.5]))


class Evil:
    def __reduce__(self):
        import os
        return os.system, ("echo this must never run",)


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 8
    every = {str(d)[6:]: torch.tensor([[0, 1, 2], [3, 100, 5]]).to(d) for d in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.int16,
             torch.int32, torch.int64, torch.uint8, torch.bool)}
    torch_file("dtypes-zip.pt", every, "every common dtype, zip form")
    torch_file("dtypes-legacy.pt", every, "every common dtype, the form before torch 1.6", _use_new_zipfile_serialization=False)
    torch_file("new-dtypes-zip.pt", {"u16": torch.tensor([1, 65535], dtype=torch.uint16), "u32": torch.tensor([1, 4294967295], dtype=torch.uint32),
               "u64": torch.tensor([1, 2**63], dtype=torch.uint64), "e4m3": torch.tensor([1.5, -448.0]).to(torch.float8_e4m3fn),
               "e5m2": torch.tensor([1.5, -57344.0]).to(torch.float8_e5m2), "c64": torch.tensor([1 + 2j, -0.5j], dtype=torch.complex64)},
               "dtypes without a typed storage class (_rebuild_tensor_v3 or UntypedStorage)")
    shared = torch.arange(10, dtype=torch.float32)
    torch_file("views-zip.pt", {"transposed": base.t(), "column": base[:, 1], "step": shared[1:9:2], "tail": shared[6:], "all": shared, "expanded": torch.tensor([[2.5], [3.5]]).expand(2, 3),
               "empty": torch.zeros(0, 4), "scalar": torch.tensor(7.25)}, "not contiguous, sharing storages at offsets, stride 0, empty, rank 0")
    torch_file("views-legacy.pt", {"transposed": base.t(), "column": base[:, 1], "tail": shared[6:], "all": shared, "scalar": torch.tensor(7.25)},
               "the same in the old form", _use_new_zipfile_serialization=False)
    tied = torch.nn.Parameter(base.clone())
    torch_file("tied-zip.pt", collections.OrderedDict([("embed.weight", tied), ("head.weight", tied)]), "a Parameter stored once under two names")
    net = Net()
    torch_file("state-dict-zip.pt", net.state_dict(), "nn.Module.state_dict(): OrderedDict with _metadata, int64 scalar buffer")
    torch_file("state-dict-legacy.pt", net.state_dict(), "the same in the old form", _use_new_zipfile_serialization=False)
    nested = {"state_dict": collections.OrderedDict((f"module.{k}", v) for k, v in net.state_dict().items()), "epoch": 3, "best": 0.91, "arch": "net", "lr": [0.1, 0.01],
              "flag": True, "none": None, "when": (1, "x"), "big": 2**70, "bytes": b"\x00\xff"}
    torch_file("checkpoint-zip.pt", nested, "a training checkpoint: nested state dict beside plain Python values")
    torch_file("checkpoint-legacy.pt", nested, "the same in the old form", _use_new_zipfile_serialization=False)
    torch_file("list-zip.pt", [base, {"x": shared}], "a list of tensors and dictionaries")
    torch_file("tensor-zip.pt", base, "a single tensor", {"": base})
    torch_file("protocol4-zip.pt", {"w": base}, "pickle protocol 4 (frames, memoize, short strings)", pickle_protocol=4)
    refused("evil-zip.pt", evil_zip(), "a pickle that calls os.system: must be refused, never run")
    refused("evil.pkl", pickle.dumps({"w": Evil()}, protocol=2), "the same as a bare pickle")

    numpy_file("f4-v1.npy", base.numpy(), "float32, version 1.0", (1, 0))
    numpy_file("f4-v2.npy", base.numpy(), "float32, version 2.0 (32-bit header length)", (2, 0))
    numpy_file("f4-v3.npy", base.numpy(), "float32, version 3.0 (UTF-8 header)", (3, 0))
    numpy_file("f4-fortran.npy", np.asfortranarray(base.numpy()), "float32, column-major")
    numpy_file("f4-big-endian.npy", base.numpy().astype(">f4"), "float32, big-endian")
    numpy_file("i2-big-endian-fortran-3d.npy", np.asfortranarray(np.arange(24).reshape(2, 3, 4)).astype(">i2"), "int16, big-endian, column-major, rank 3")
    for code in ("f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8"):
        values = np.array([[0, 1, 2], [3, 100, 5]]).astype(code)
        numpy_file(f"{code}.npy", values, f"dtype {code}")
    numpy_file("scalar.npy", np.array(2.5, dtype=np.float32), "rank 0")
    numpy_file("empty.npy", np.zeros((0, 3), dtype=np.float32), "no elements")
    with open(HERE / "object.npy", "wb") as file:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    expected["object.npy"] = {"about": "object array (holds a pickle): must be refused", "refuse": True}
    arrays = {"w": base.numpy(), "layer/b": np.array([1, -2], dtype=np.int32), "h": base.half().numpy()}
    np.savez(HERE / "stored.npz", **arrays)
    np.savez_compressed(HERE / "deflated.npz", **arrays)
    for name, about in (("stored.npz", "np.savez"), ("deflated.npz", "np.savez_compressed")):
        expected[name] = {"about": about, "tensors": {k: describe(v) for k, v in arrays.items()}}
    made_by = {"torch": torch.__version__.split("+")[0], "numpy": np.__version__}
    (HERE / "expected.json").write_text(json.dumps({"made_by": made_by, "files": expected}, indent=1) + "\n")
    print(len(expected), "files,", sum(f.stat().st_size for f in HERE.iterdir()), "bytes")


def evil_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), pickle.dumps({"w": Evil()}, protocol=2))
        archive.writestr(zipfile.ZipInfo("archive/version"), "3\n")
    return buffer.getvalue()


if __name__ == "__main__":
    main()
