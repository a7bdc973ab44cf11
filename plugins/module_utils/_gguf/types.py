# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The numbers of the GGUF format: value types, tensor types, limits."""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32

# The limits of llama.cpp's reader (ggml/src/gguf.cpp, ggml/include/ggml.h).
MAX_DIMS = 4
MAX_TENSOR_NAME_BYTES = 63
INT64_MAX = (1 << 63) - 1
SIZE_MAX = (1 << 64) - 1

# Ours. llama.cpp has no bound for the alignment and the numbers of keys and tensors, and 1 GiB a string and 2^30 items
# an array, which the bound of the whole header includes. Real headers have some 80 keys, 2,000 tensors (50,000 where
# each expert was one of its own) and, with the biggest vocabularies, 20 MB.
MAX_ALIGNMENT = 64 * 1024
MAX_HEADER_BYTES = 64 * 1024 * 1024
MAX_KEYS = 4096
MAX_KEY_BYTES = 65535  # as the format's own description has it
MAX_TENSORS = 65536

UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, INT64, FLOAT64 = range(13)

# struct format of every value type with a fixed size
SCALAR_FORMATS: dict[int, str] = {
    UINT8: "B",
    INT8: "b",
    UINT16: "H",
    INT16: "h",
    UINT32: "I",
    INT32: "i",
    FLOAT32: "f",
    BOOL: "B",
    UINT64: "Q",
    INT64: "q",
    FLOAT64: "d",
}
SCALAR_BYTES: dict[int, int] = {code: struct.calcsize("<" + fmt) for code, fmt in SCALAR_FORMATS.items()}
INTEGER_TYPES = frozenset((UINT8, INT8, UINT16, INT16, UINT32, INT32, UINT64, INT64))

VALUE_TYPE_NAMES: dict[int, str] = {
    UINT8: "u8",
    INT8: "i8",
    UINT16: "u16",
    INT16: "i16",
    UINT32: "u32",
    INT32: "i32",
    FLOAT32: "f32",
    BOOL: "bool",
    STRING: "str",
    ARRAY: "arr",
    UINT64: "u64",
    INT64: "i64",
    FLOAT64: "f64",
}


class TensorType(NamedTuple):
    name: str
    block_items: int
    block_bytes: int


# By the id in the file. Missing ids were removed upstream and are refused.
TENSOR_TYPES: dict[int, TensorType] = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    9: TensorType("Q8_1", 32, 36),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
    42: TensorType("Q2_0", 64, 18),
}


def padded(size_bytes: int, alignment: int = DEFAULT_ALIGNMENT) -> int:
    """The next multiple of alignment, which is a power of two."""
    return (size_bytes + alignment - 1) & ~(alignment - 1)
