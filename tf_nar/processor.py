"""What the processor of this machine has instructions for. Only the standard library, as the doctor needs it."""
from __future__ import annotations

import functools
import pathlib

BFLOAT16 = "amx_bf16", "avx512_bf16", "bf16"  # Names in /proc/cpuinfo, of x86 and ARM.
ONEDNN = "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_tile"  # With one of these TensorFlow uses oneDNN on x86.


def bfloat16(cpuinfo: str) -> list[str]:
  """Returns the instructions for products of bfloat16, by their names in the text of /proc/cpuinfo."""
  flags = set(cpuinfo.split())
  return [name for name in BFLOAT16 if name in flags]


def leaves_out_onednn(cpuinfo: str) -> bool:
  """Whether TensorFlow uses oneDNN on this x86 processor only if TF_ENABLE_ONEDNN_OPTS=1 asks for it."""
  return bool(cpuinfo) and not set(ONEDNN) & set(cpuinfo.split())


@functools.lru_cache(maxsize=None)
def lacks_bfloat16() -> bool:
  """Whether this processor is known to have no instructions for products of bfloat16."""
  file = pathlib.Path("/proc/cpuinfo")
  return file.exists() and not bfloat16(file.read_text())
