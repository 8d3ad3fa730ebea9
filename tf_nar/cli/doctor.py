"""Checks an installation, and prints for each problem the command that fixes it.

  python bin/doctor.py          this machine
  python bin/doctor.py --tpu    a TPU VM: also checks that the TPU's kernels are registered

Exits with 1 if a line begins with FAIL. Uses only the standard library (so argparse, not absl), as it must run where
nothing is installed; TensorFlow is imported in another process, as a broken one may crash it.
"""
from __future__ import annotations  # An old Python, which this reports, has no `str | None`.

import argparse
import importlib.metadata
import json
import locale
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
from typing import Any, Iterable, Iterator, NamedTuple, Sequence

from tf_nar import processor

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALL = "pip install -c constraints-cpu.txt -e '.[cpu,dev]'"
INSTALL_TPU = "pip install -c constraints-tpu.txt -e '.[tpu]'"
TEXT_TPU = "pip install --no-deps -c constraints-tpu.txt tensorflow-text keras-hub keras-nlp"
# Distributions that all install into the same folder `tensorflow/`.
TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-tpu", "tf-nightly")
NEEDED = ("absl-py", "adjustText", "keras", "keras-hub", "keras-nlp", "matplotlib", "numpy", "rich", "sacrebleu",
          "sentencepiece", "subword-nmt", "tensorboard", "tensorflow-text", "tqdm")
SLOW = "emulation (slow: models may train faster with --set=model.net.dtype=float32)"

READER_GONE = 141  # The exit status if the reader of the output closed the pipe, as of a program ended by SIGPIPE.


class Finding(NamedTuple):
  """The result of one check."""

  status: str  # "ok", "warn" or "FAIL".
  about: str  # What was checked.
  found: str  # What the check found.
  mend: str = ""  # The command or action that fixes it; empty if the status is "ok".


def installed_versions() -> dict[str, str]:
  """Returns {name: version} of the distributions on the path."""
  return {_name(found.name): found.version for found in importlib.metadata.distributions() if found.name}


def read_pins(text: str) -> dict[str, str]:
  """Returns {name: version} of the `name==version` lines of a constraints file."""
  return {_name(name): version for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", text)}


def _name(name):
  return re.sub(r"[-_.]+", "-", name).lower()


def check_python(version: Sequence[int]) -> Finding:
  """Checks (major, minor) of the interpreter."""
  found = ".".join(map(str, version))
  if (3, 11) <= tuple(version) <= (3, 12):
    return Finding("ok", "python", found)
  mend = "rm -rf .venv; make PYTHON=python3.12 test"
  return Finding("FAIL", "python", f"{found}; 3.11 or 3.12 is required", mend)


def check_pins(installed: dict[str, str], pins: dict[str, str], install: str = INSTALL) -> Finding:
  """Checks versions against the pins; only the packages of `NEEDED` must be installed."""
  missing = [name for name in NEEDED if name not in installed]
  if missing:
    return Finding("FAIL", "packages", f"missing: {', '.join(missing)}", install)
  differ = [name for name, pin in pins.items() if installed.get(name, pin) != pin]
  other = [f"{name} {installed[name]} (pinned {pins[name]})" for name in differ]
  if other:
    return Finding("warn", "packages", f"not as tested: {', '.join(other)}", install)
  return Finding("ok", "packages", f"{sum(name in installed for name in pins)} at their pinned versions")


def check_one_tensorflow(installed: dict[str, str], tpu: bool) -> Finding:
  """Checks that one distribution owns the folder `tensorflow/`, and that it is the TPU's on a TPU."""
  wanted, install = ("tensorflow-tpu", INSTALL_TPU) if tpu else ("tensorflow", INSTALL)
  owners = [name for name in TENSORFLOWS if name in installed]
  if owners == [wanted] or (owners == ["tensorflow-cpu"] and not tpu):
    return Finding("ok", "tensorflow", f"{owners[0]} {installed[owners[0]]}")
  if not owners:
    return Finding("FAIL", "tensorflow", "not installed", install)
  # To uninstall one takes away files of the others, so all go and the right one comes back.
  mend = f"pip uninstall -y {' '.join(owners)}; {install}"
  if len(owners) > 1:
    found = f"{' and '.join(owners)} were installed over each other"
  else:
    found = f"{owners[0]} is installed, but {wanted} is required"
  return Finding("FAIL", "tensorflow", found, f"{mend}; {TEXT_TPU}" if tpu else mend)


def check_text(installed: dict[str, str], tpu: bool) -> Finding:
  """Checks that tensorflow-text is of TensorFlow's minor version: its operators are compiled against it."""
  minor = lambda version: version.split(".")[:2]
  text = installed.get("tensorflow-text")
  tensorflow = next((installed[name] for name in TENSORFLOWS if name in installed), None)
  if not text or not tensorflow:
    return Finding("FAIL", "tensorflow-text", "tensorflow-text or tensorflow is missing", TEXT_TPU if tpu else INSTALL)
  if minor(text) == minor(tensorflow):
    return Finding("ok", "tensorflow-text", text)
  version = ".".join(minor(tensorflow))
  return Finding("FAIL", "tensorflow-text", f"{text} does not match tensorflow {tensorflow}",
                 f"pip install --no-deps 'tensorflow-text=={version}.*'")


def check_import(probe: dict[str, Any], tpu: bool) -> Finding:
  """Checks the result of `run_probe`: either facts or one `error`."""
  if "error" in probe:
    install = INSTALL_TPU if tpu else INSTALL
    return Finding("FAIL", "import", probe["error"], f"rm -rf .venv, make a new environment, then {install}")
  return Finding("ok", "import", "tensorflow and tensorflow_text import")


def check_tpu(probe: dict[str, Any], tpu: bool) -> Finding:
  """Checks that TensorFlow can start TPU programs, if `tpu`."""
  if not tpu:
    return Finding("ok", "tpu", "not checked (--tpu checks it)")
  if probe.get("tpu_kernels"):
    return Finding("ok", "tpu", "kernels are registered")
  found = "no kernel of ConfigureDistributedTPU: a plain tensorflow was installed over tensorflow-tpu"
  return Finding("FAIL", "tpu", found, f"pip uninstall -y {' '.join(TENSORFLOWS)}; {INSTALL_TPU}; {TEXT_TPU}")


def check_gpus(probe: dict[str, Any], driver: str | None) -> Finding:
  """Checks that TensorFlow sees a GPU, if a GPU driver is installed."""
  gpus = probe.get("gpus", [])
  if driver and not gpus:
    return Finding("warn", "gpus", "a driver is installed, but TensorFlow sees none",
                   "pip install -c constraints-cpu.txt -e '.[gpu,dev]'")
  return Finding("ok", "gpus", f"{len(gpus)} seen")


def check_buckets(probe: dict[str, Any]) -> Finding:
  """Checks that tf.io.gfile opens gs:// paths."""
  if "gs" in probe.get("schemes", []):
    return Finding("ok", "gs://", "registered")
  mend = "pip install tensorflow-io-gcs-filesystem"
  return Finding("warn", "gs://", "not registered: only local paths work", mend)


def check_cpu(cpuinfo: str, cores: int, machine: str) -> Finding:
  """Checks for the CPU instructions that TensorFlow's wheels need; reports whether bfloat16 and oneDNN are there."""
  if machine == "x86_64" and cpuinfo and "avx" not in cpuinfo.split():
    mend = "use another machine, or build tensorflow for this one"
    return Finding("FAIL", "cpu", "no AVX, which TensorFlow's wheels need", mend)
  found = f"{cores} cores, bfloat16 by {' and '.join(processor.bfloat16(cpuinfo)) or SLOW}"
  if machine == "x86_64" and processor.leaves_out_onednn(cpuinfo):
    found += "; TensorFlow leaves oneDNN off: models may train faster with TF_ENABLE_ONEDNN_OPTS=1"
  return Finding("ok", "cpu", found)


def check_space(about: str, free: float, least: float, enough: float, mend: str) -> Finding:
  """Checks free memory or disk, all in GiB: below `least` nothing runs, below `enough` large runs do not."""
  status = "FAIL" if free < least else "warn" if free < enough else "ok"
  return Finding(status, about, f"{free:.1f} GiB free", "" if status == "ok" else mend)


def check_locale(encoding: str) -> Finding:
  """Checks that text is read and written through pipes as UTF-8."""
  if encoding.lower().replace("-", "") == "utf8":
    return Finding("ok", "locale", encoding)
  return Finding("FAIL", "locale", f"{encoding}; UTF-8 is required", "export PYTHONUTF8=1")


def run_probe(command: Sequence[str] = (sys.executable, __file__, "--probe")) -> dict[str, Any]:
  """Imports TensorFlow in another process; returns its facts, or {"error": one line}."""
  result = subprocess.run(command, capture_output=True, text=True, errors="replace")
  if result.returncode == 0:
    return json.loads(result.stdout.splitlines()[-1])
  last = (result.stderr.strip().splitlines() or [""])[-1]
  return {"error": f"importing tensorflow ended with status {result.returncode}: {last[:200]}"}


def print_probe() -> None:
  """Prints the facts for `run_probe`, as one line of JSON."""
  import tensorflow as tf
  import tensorflow_text  # noqa: F401  This process fails if its operators cannot be loaded.
  from tensorflow.python.framework import kernels  # Private: no public call lists the kernels.
  print(json.dumps({
      "tpu_kernels": len(kernels.get_registered_kernels_for_op("ConfigureDistributedTPU").kernel),
      "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
      "schemes": tf.io.gfile.get_registered_schemes(),
  }))


def free_memory(meminfo: str) -> float:
  """Returns the available GiB by /proc/meminfo; infinite if it has no such line."""
  kib = re.search(r"MemAvailable:\s+(\d+)", meminfo)
  return int(kib[1]) / 2**20 if kib else float("inf")


def examine_tensorflow(probe: dict[str, Any], tpu: bool) -> Iterator[Finding]:
  """Yields the findings of the checks that need TensorFlow."""
  yield check_import(probe, tpu)
  if "error" not in probe:
    yield check_tpu(probe, tpu)
    yield check_gpus(probe, shutil.which("nvidia-smi"))
    yield check_buckets(probe)


def examine(tpu: bool) -> Iterator[Finding]:
  """Yields the findings of this machine."""
  installed = installed_versions()
  tpu = tpu or "tensorflow-tpu" in installed
  read = lambda path: pathlib.Path(path).read_text() if os.path.exists(path) else ""
  yield check_python(sys.version_info[:2])
  pins = read_pins(read(ROOT / "constraints-cpu.txt") + read(ROOT / "constraints-tpu.txt"))
  yield check_pins(installed, pins, INSTALL_TPU if tpu else INSTALL)
  yield check_one_tensorflow(installed, tpu)
  yield check_text(installed, tpu)
  if set(TENSORFLOWS) & set(installed):
    yield from examine_tensorflow(run_probe(), tpu)
  # macOS has no call for the cores that a process may use.
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
  yield check_cpu(read("/proc/cpuinfo"), cores, platform.machine())
  memory, disk = free_memory(read("/proc/meminfo")), shutil.disk_usage(ROOT).free / 2**30
  yield check_space("memory", memory, 1, 4, "stop other programs, or lower train.tokens_per_batch")
  yield check_space("disk", disk, 1, 5, "make room, or give --workdir another disk")
  yield check_locale(locale.getpreferredencoding(False))


def main(argv: list[str] | None = None, prog: str | None = None) -> int | None:
  """Checks this machine and returns the exit status.

  Args:
    argv: arguments; those of this process if not given.
    prog: the name of the program in its help.
  """
  parser = argparse.ArgumentParser(prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--tpu", action="store_true", help="also check for the TPU's kernels")
  parser.add_argument("--probe", action="store_true", help=argparse.SUPPRESS)
  arguments = parser.parse_args(argv)
  if arguments.probe:
    return print_probe()
  try:
    return show(examine(arguments.tpu))
  except OSError as problem:  # As `program.run`, which needs absl.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(problem, BrokenPipeError):
      return READER_GONE
    print(f"doctor: {problem}", file=sys.stderr)
    return 1


def show(findings: Iterable[Finding]) -> int:
  """Prints findings; returns 1 if one is a failure, else 0."""
  failed = False
  for status, about, found, mend in findings:
    failed |= status == "FAIL"
    print(f"{status:4}  {about:15}  {found}" + (f"  ->  {mend}" if mend else ""), flush=True)
  return int(failed)


if __name__ == "__main__":
  sys.exit(main())
