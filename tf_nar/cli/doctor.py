"""Says what is wrong with an installation, and the command that mends it.

  python bin/doctor.py          this machine
  python bin/doctor.py --tpu    a TPU VM: the TPU's kernels must be there as well

Exits with 1 if a line says FAIL. Uses the standard library only (so argparse, not absl), as it must run where
nothing else does; TensorFlow is tried in another process, as a broken one may take its process down.
"""
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
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALL = "pip install -c constraints-cpu.txt -e '.[cpu,dev]'"
INSTALL_TPU = "pip install -c constraints-tpu.txt -e '.[tpu]'"
TEXT_TPU = "pip install --no-deps -c constraints-tpu.txt tensorflow-text keras-hub keras-nlp"
# Distributions that all unpack into one folder `tensorflow/`.
TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-tpu", "tf-nightly")
NEEDED = ("absl-py", "keras", "keras-hub", "keras-nlp", "matplotlib", "numpy", "sacrebleu", "sentencepiece",
          "subword-nmt", "tensorboard", "tensorflow-text", "tqdm")


class Finding(NamedTuple):
  """What one check says."""

  status: str  # "ok", "warn" or "FAIL".
  about: str
  found: str
  mend: str = ""  # A command or an action; empty when all is well.


def installed_versions():
  """Returns {name: version} of the distributions on the path."""
  return {_name(found.name): found.version for found in importlib.metadata.distributions() if found.name}


def read_pins(text):
  """Returns {name: version} of the `name==version` lines of a constraints file."""
  return {_name(name): version for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", text)}


def _name(name):
  return re.sub(r"[-_.]+", "-", name).lower()


def check_python(version):
  """Checks (major, minor) of the interpreter."""
  found = ".".join(map(str, version))
  if (3, 11) <= tuple(version) <= (3, 12):
    return Finding("ok", "python", found)
  mend = "rm -rf .venv; make PYTHON=python3.12 test"
  return Finding("FAIL", "python", f"{found}; wants 3.11 or 3.12", mend)


def check_pins(installed, pins, install=INSTALL):
  """Checks versions against the pins; a package that only a pin names may be absent."""
  missing = [name for name in NEEDED if name not in installed]
  if missing:
    return Finding("FAIL", "packages", f"missing: {', '.join(missing)}", install)
  differ = [name for name, pin in pins.items() if installed.get(name, pin) != pin]
  other = [f"{name} {installed[name]} (pinned {pins[name]})" for name in differ]
  if other:
    return Finding("warn", "packages", f"not as tested: {', '.join(other)}", install)
  return Finding("ok", "packages", f"{sum(name in installed for name in pins)} at their pinned versions")


def check_one_tensorflow(installed, tpu):
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
    found = f"{' and '.join(owners)} were unpacked over each other"
  else:
    found = f"{owners[0]} where {wanted} is wanted"
  return Finding("FAIL", "tensorflow", found, f"{mend}; {TEXT_TPU}" if tpu else mend)


def check_text(installed, tpu):
  """Checks that tensorflow-text is of TensorFlow's minor version: its operators are compiled against it."""
  minor = lambda version: version.split(".")[:2]
  text = installed.get("tensorflow-text")
  tensorflow = next((installed[name] for name in TENSORFLOWS if name in installed), None)
  if not text or not tensorflow:
    return Finding("FAIL", "tensorflow-text", "needs itself and tensorflow", TEXT_TPU if tpu else INSTALL)
  if minor(text) == minor(tensorflow):
    return Finding("ok", "tensorflow-text", text)
  version = ".".join(minor(tensorflow))
  return Finding("FAIL", "tensorflow-text", f"{text} does not fit tensorflow {tensorflow}",
                 f"pip install --no-deps 'tensorflow-text=={version}.*'")


def check_import(probe, tpu):
  """Checks what `run_probe` brought back: either facts or one `error`."""
  if "error" in probe:
    install = INSTALL_TPU if tpu else INSTALL
    return Finding("FAIL", "import", probe["error"], f"rm -rf .venv, make a new environment, then {install}")
  return Finding("ok", "import", "tensorflow and tensorflow_text import")


def check_tpu(probe, tpu):
  """Checks that TPU programs can be started, where they should be."""
  if not tpu:
    return Finding("ok", "tpu", "not asked for (--tpu)")
  if probe.get("tpu_kernels"):
    return Finding("ok", "tpu", "kernels are registered")
  found = "no kernel of ConfigureDistributedTPU: a plain tensorflow lies over tensorflow-tpu"
  return Finding("FAIL", "tpu", found, f"pip uninstall -y {' '.join(TENSORFLOWS)}; {INSTALL_TPU}; {TEXT_TPU}")


def check_gpus(probe, driver):
  """Checks that TensorFlow sees the GPUs that a driver is there for."""
  gpus = probe.get("gpus", [])
  if driver and not gpus:
    return Finding("warn", "gpus", "a driver is there, but TensorFlow sees none",
                   "pip install -c constraints-cpu.txt -e '.[gpu,dev]'")
  return Finding("ok", "gpus", f"{len(gpus)} seen")


def check_buckets(probe):
  """Checks that tf.io.gfile opens gs:// paths."""
  if "gs" in probe.get("schemes", []):
    return Finding("ok", "gs://", "registered")
  mend = "pip install tensorflow-io-gcs-filesystem"
  return Finding("warn", "gs://", "not registered: only local paths work", mend)


def check_cpu(cpuinfo, cores, machine):
  """Checks the instructions that TensorFlow's wheels are built for; says whether bfloat16 is fast."""
  flags = set(cpuinfo.split())
  if machine == "x86_64" and cpuinfo and "avx" not in flags:
    mend = "use another machine, or build tensorflow for this one"
    return Finding("FAIL", "cpu", "no AVX, which the wheels need", mend)
  fast = " and ".join(name for name in ("amx_bf16", "avx512_bf16") if name in flags)
  return Finding("ok", "cpu", f"{cores} cores, bfloat16 by {fast or 'emulation (slow)'}")


def check_space(about, free, least, enough, mend):
  """Checks free memory or disk, all in GiB: below `least` nothing runs, below `enough` large runs do not."""
  status = "FAIL" if free < least else "warn" if free < enough else "ok"
  return Finding(status, about, f"{free:.1f} GiB free", "" if status == "ok" else mend)


def check_locale(encoding):
  """Checks that text goes through pipes as UTF-8."""
  if encoding.lower().replace("-", "") == "utf8":
    return Finding("ok", "locale", encoding)
  return Finding("FAIL", "locale", f"{encoding}; wants UTF-8", "export PYTHONUTF8=1")


def run_probe(command=(sys.executable, __file__, "--probe")):
  """Imports TensorFlow in another process; returns its facts, or {"error": one line}."""
  said = subprocess.run(command, capture_output=True, text=True, errors="replace")
  if said.returncode == 0:
    return json.loads(said.stdout.splitlines()[-1])
  last = (said.stderr.strip().splitlines() or [""])[-1]
  return {"error": f"importing tensorflow ended with status {said.returncode}: {last[:200]}"}


def print_probe():
  """The other side of `run_probe`: one line of JSON."""
  import tensorflow as tf
  import tensorflow_text  # noqa: F401  Its operators load, or this process fails.
  from tensorflow.python.framework import kernels  # Private: no public call lists the kernels.
  print(json.dumps({
      "tpu_kernels": len(kernels.get_registered_kernels_for_op("ConfigureDistributedTPU").kernel),
      "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
      "schemes": tf.io.gfile.get_registered_schemes(),
  }))


def free_memory(meminfo):
  """Returns the GiB that /proc/meminfo says are available; endless where it does not say."""
  kib = re.search(r"MemAvailable:\s+(\d+)", meminfo)
  return int(kib[1]) / 2**20 if kib else float("inf")


def examine_tensorflow(probe, tpu):
  """Yields what can be said once TensorFlow was tried."""
  yield check_import(probe, tpu)
  if "error" not in probe:
    yield check_tpu(probe, tpu)
    yield check_gpus(probe, shutil.which("nvidia-smi"))
    yield check_buckets(probe)


def examine(tpu):
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
  # macOS cannot say which cores a process may use.
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
  yield check_cpu(read("/proc/cpuinfo"), cores, platform.machine())
  memory, disk = free_memory(read("/proc/meminfo")), shutil.disk_usage(ROOT).free / 2**30
  yield check_space("memory", memory, 1, 4, "stop other programs, or lower train.tokens_per_batch")
  yield check_space("disk", disk, 1, 5, "make room, or give --workdir another disk")
  yield check_locale(locale.getpreferredencoding(False))


def main(argv=None, prog=None):
  """Examines this machine and returns the exit status.

  Args:
    argv: arguments; those of this process if not given.
    prog: what the program is called in its help.
  """
  parser = argparse.ArgumentParser(prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--tpu", action="store_true", help="also ask for the TPU's kernels")
  parser.add_argument("--probe", action="store_true", help=argparse.SUPPRESS)
  arguments = parser.parse_args(argv)
  if arguments.probe:
    return print_probe()
  failed = False
  for status, about, found, mend in examine(arguments.tpu):
    failed |= status == "FAIL"
    print(f"{status:4}  {about:15}  {found}" + (f"  ->  {mend}" if mend else ""))
  return int(failed)


if __name__ == "__main__":
  sys.exit(main())
