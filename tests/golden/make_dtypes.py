#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes dtypes.json: what torch makes of every small-float code and of 2^20 f32 inputs, as hashes (see README.md)."""
import hashlib
import json
import pathlib
import sys
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))
import numpy as np  # noqa: E402
import libs  # noqa: E402
from libs import torch  # noqa: E402

LOW = [0x0000, 0x0001, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x0FFF, 0x1000, 0x1001, 0x2000, 0x3FFF, 0x4000, 0x5555, 0x6000, 0xA000, 0xE000]
# name -> torch dtype, bytes, canonical NaN code, largest finite value
SMALL = {
    "F16": (torch.float16, 2, 0x7E00, 65504.0),
    "BF16": (torch.bfloat16, 2, 0x7FC0, 3.3895313892515355e38),
    "F8_E4M3": (torch.float8_e4m3fn, 1, 0x7F, 448.0),
    "F8_E5M2": (torch.float8_e5m2, 1, 0x7F, 57344.0),
    "F8_E4M3FNUZ": (torch.float8_e4m3fnuz, 1, 0x80, 240.0),
    "F8_E5M2FNUZ": (torch.float8_e5m2fnuz, 1, 0x80, 57344.0),
    "F8_E8M0": (torch.float8_e8m0fnu, 1, 0xFF, 1.7014118346046923e38),
}


def digest(array):
    raw = np.ascontiguousarray(array).tobytes()
    part = len(raw) // 16
    return {"n": int(array.size), "bytes": len(raw), "crc32": f"{zlib.crc32(raw):08x}", "sha256": hashlib.sha256(raw).hexdigest(),
            "crc32_of_16ths": [f"{zlib.crc32(raw[i * part:(i + 1) * part]):08x}" for i in range(16)]}


def decode(dtype, size):
    codes = np.arange(1 << (8 * size), dtype=np.uint16 if size == 2 else np.uint8)
    values = torch.from_numpy(codes.copy()).view(dtype).float()
    bits = values.numpy().view(np.uint32).copy()
    bits[np.isnan(values.numpy())] = 0x7FC00000
    return bits


def encode(dtype, size, nan, inputs):
    out = inputs.to(dtype)
    codes = out.view(torch.int16 if size == 2 else torch.uint8).numpy().view(np.uint16 if size == 2 else np.uint8).copy()
    codes[torch.isnan(out.float()).numpy()] = nan
    return codes


def main():
    bits = (np.arange(65536, dtype=np.uint32)[:, None] << 16 | np.array(LOW, dtype=np.uint32)[None, :]).reshape(-1)
    inputs = torch.from_numpy(bits.view(np.float32).copy())
    nan = torch.isnan(inputs)
    result = {
        "made_by": {"script": "make_dtypes.py", "torch": torch.__version__.split("+")[0], "numpy": np.__version__,
                    "compressed-tensors": libs.version("compressed-tensors")},
        "input": {"rule": "for hi in 0..65535, for low in low_halves: f32 with bits hi<<16|low", "low_halves": [f"{x:04x}" for x in LOW],
                  "n": int(bits.size), "crc32": f"{zlib.crc32(bits.tobytes()):08x}"},
        "decode_to_f32": {}, "encode_from_f32": {}, "encode_from_f32_saturating": {}, "examples": {},
    }
    picks = np.array([0x00000000, 0x80000000, 0x00000001, 0x33000000, 0x33000001, 0x387FE000, 0x3A800000, 0x3B000000, 0x3D4CCCCD,
                      0x3EAAAAAB, 0x3F800000, 0x3F808000, 0x3F818000, 0x40490FDB, 0x42FE0000, 0x43700000, 0x43780000, 0x43E00000,
                      0x43E80000, 0x43E80001, 0x43F00000, 0x477FE000, 0x477FF000, 0x47600000, 0x47700000, 0x47700001, 0x7F7FFFFF,
                      0x7F800000, 0xFF800000, 0x7FC00000, 0xC3E80001, 0xBF8CCCCD], dtype=np.uint32)
    pick = torch.from_numpy(picks.view(np.float32).copy())
    result["examples"]["f32_bits"] = [f"{x:08x}" for x in picks]
    for name, (dtype, size, nan_code, top) in SMALL.items():
        result["decode_to_f32"][name] = digest(decode(dtype, size)) | {"nan_as": "7fc00000"}
        entry = {"nan_as": f"{nan_code:0{2 * size}x}"}
        result["encode_from_f32"][name] = digest(encode(dtype, size, nan_code, inputs)) | entry
        if name not in ("F8_E8M0",):
            clamped = torch.where(nan, inputs, inputs.clamp(-top, top))
            result["encode_from_f32_saturating"][name] = digest(encode(dtype, size, nan_code, clamped)) | entry | {"max": top}
        result["examples"][name] = [f"{int(x):0{2 * size}x}" for x in encode(dtype, size, nan_code, pick)]
    result["fp4"] = fp4()
    path = pathlib.Path(__file__).resolve().parent / "dtypes.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(path.name, path.stat().st_size, "bytes")


def fp4():
    """e2m1 by compressed-tensors: rounding of multiples of 1/64 in [-8, 8], and how two codes share a byte."""
    from compressed_tensors.compressors.nvfp4.helpers import pack_fp4_to_uint8
    from compressed_tensors.quantization.utils.fp4_utils import cast_to_fp4
    x = torch.arange(-512, 512, dtype=torch.float32) / 64
    rounded = cast_to_fp4(x.clamp(-6, 6))
    packed = pack_fp4_to_uint8(rounded.reshape(1, -1)).reshape(-1).numpy()
    return {"rule": "inputs i/64 for i in -512..511, clamped to +-6, rounded to e2m1, two codes a byte, low nibble first", "n": 1024,
            "packed": digest(packed), "packed_hex_first_64": packed[:64].tobytes().hex(), "packed_hex_middle_64": packed[224:288].tobytes().hex()}


if __name__ == "__main__":
    main()
