"""Runs the TPU's own compiler on a machine without a TPU: memory, floating-point operations, roofline of a step.

`compile_for` runs this file with the Python of another environment, that of the extra `tpu_check`, because jax needs
another libtpu than TensorFlow. It uses private names of jax there, so that environment is pinned (setup.py).
"""
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple, Sequence


class Chip(NamedTuple):
  """A TPU generation, with its published figures per chip."""

  topology: str  # That of four chips.
  flops: float  # Peak floating-point operations per second in bfloat16.
  bytes_a_second: float  # HBM bandwidth.
  memory: float  # HBM capacity in bytes.


# https://docs.cloud.google.com/tpu/docs/v4 and /v5p and /v6e (which has v5e's too), "Peak compute per chip (bf16)",
# "HBM capacity", "HBM bandwidth".
CHIPS = {
  "v4": Chip("v4:2x2x1", 275e12, 1200e9, 32 * 2**30),
  "v5e": Chip("v5e:2x2", 197e12, 800e9, 16e9),
  "v5p": Chip("v5p:2x2x1", 459e12, 2765e9, 95e9),
  "v6e": Chip("v6e:2x2", 918e12, 1600e9, 32e9),
}


@dataclasses.dataclass(frozen=True)
class Compiled:
  """The compiler's analysis of a program on one device: a chip, or one of the two cores of a v4 chip."""

  seconds: float  # Duration of the compilation.
  devices: int  # Number of devices that four chips have.
  arguments: int  # Bytes, like the fields below up to `code`.
  results: int
  aliased: int  # Results that share the memory of arguments.
  temporary: int
  code: int
  flops: float  # Loops of a length unknown to the compiler count once.
  accessed: float  # Bytes read and written, according to the compiler's cost analysis.

  @property
  def memory(self) -> int:
    """Total bytes of HBM."""
    return self.arguments + self.results - self.aliased + self.temporary + self.code

  def fits(self, chip: Chip) -> bool:
    return self.memory <= chip.memory * 4 / self.devices

  def roofline(self, chip: Chip) -> float:
    """Seconds: all arithmetic at peak rate or all memory access at HBM bandwidth, whichever takes longer."""
    return max(self.flops / chip.flops, self.accessed / chip.bytes_a_second) * self.devices / 4


def compile_for(kinds: Sequence[str], hlo: bytes, python: str) -> dict[str, Compiled | str]:
  """Compiles one module for each kind of TPU.

  Args:
    kinds: keys of `CHIPS`.
    hlo: bytes, a serialized HLO module.
    python: the Python interpreter of an environment with jax and libtpu.

  Returns:
    {kind: `Compiled`, or one line with the compiler's error}.

  Raises:
    ValueError: for an unknown kind, or if that interpreter cannot run the compiler.
  """
  check(kinds, python)
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "program.hlo")
    with open(path, "wb") as file:
      file.write(hlo)
    # Keeps libtpu from looking up the metadata of a cloud machine, and jax from looking for devices.
    there = {**os.environ, "TPU_SKIP_MDS_QUERY": "1", "JAX_PLATFORMS": "cpu"}
    there.pop("PYTHONPATH", None)
    done = subprocess.run([python, __file__, path, *kinds], capture_output=True, text=True, env=there, check=False)
  if done.returncode:
    last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    raise ValueError(f"{python} cannot compile for a TPU: {last[:300]} Make an environment of its own for it: "
                     "python -m venv ~/tpu_check; ~/tpu_check/bin/pip install '.[tpu_check]'; then give "
                     "--jax_python=~/tpu_check/bin/python.")
  found = json.loads(done.stdout.splitlines()[-1])
  return {kind: Compiled(**one) if isinstance(one, dict) else one for kind, one in found.items()}


def check(kinds: Sequence[str], python: str) -> None:
  """Raises the ValueErrors of `compile_for` for its arguments, before any long work begins."""
  for kind in kinds:
    if kind not in CHIPS:
      raise ValueError(f"No TPU {kind!r} is known; choose from {', '.join(CHIPS)}.")
  if kinds and not os.path.isfile(python):
    raise ValueError(
      f"No interpreter at {python}; set --jax_python to the bin/python of an environment with jax and libtpu.")


def main(path: str, *kinds: str) -> None:
  """Runs in the other environment: compiles the module in a file for each kind and prints one line of JSON."""
  from jax._src.interpreters import mlir
  from jax._src.lib import xla_client
  from jaxlib.mlir import ir

  with open(path, "rb") as file:
    text = xla_client._xla.mlir.xla_computation_to_mlir_module(xla_client.XlaComputation(file.read()))
  # StableHLO has no copy; its only purpose is to keep a value from being overwritten, which a barrier does too.
  text = re.sub(r"\bmhlo\.copy\b", "stablehlo.optimization_barrier", text)
  with mlir.make_ir_context():
    module = ir.Module.parse(text)
  found = {}
  for kind in kinds:
    try:
      found[kind] = compiled(module, CHIPS[kind].topology)
    except xla_client.XlaRuntimeError as error:
      found[kind] = str(error).strip().splitlines()[0][:300]
  print(json.dumps(found))


def compiled(module: Any, topology: str) -> dict[str, Any]:
  """Returns the fields of `Compiled`."""
  import time

  from jax._src.lib import xla_client
  from jax.experimental import topologies

  devices, began = topologies.get_topology_desc(topology, "tpu").devices, time.perf_counter()
  program = devices[0].client.compile(
    module, xla_client._xla.DeviceList(tuple(devices[:1])), xla_client.CompileOptions())
  memory, cost = program.get_compiled_memory_stats(), program.cost_analysis()
  return dict(
    seconds=time.perf_counter() - began, devices=len(devices), arguments=memory.argument_size_in_bytes,
    results=memory.output_size_in_bytes, aliased=memory.alias_size_in_bytes, temporary=memory.temp_size_in_bytes,
    code=memory.generated_code_size_in_bytes, flops=cost.get("flops", 0.0), accessed=cost.get("bytes accessed", 0.0))


if __name__ == "__main__":
  main(*sys.argv[1:])
