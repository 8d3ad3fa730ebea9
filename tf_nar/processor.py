"""What the processor of this machine has instructions for."""
import functools
import pathlib

BFLOAT16 = "amx_bf16", "avx512_bf16", "bf16"  # Names in /proc/cpuinfo, of x86 and ARM.


def bfloat16(cpuinfo: str) -> list[str]:
  """Returns the instructions for products of bfloat16, by their names in the text of /proc/cpuinfo."""
  flags = set(cpuinfo.split())
  return [name for name in BFLOAT16 if name in flags]


@functools.lru_cache(maxsize=None)
def lacks_bfloat16() -> bool:
  """Whether this processor is known to have no instructions for products of bfloat16."""
  file = pathlib.Path("/proc/cpuinfo")
  return file.exists() and not bfloat16(file.read_text())
