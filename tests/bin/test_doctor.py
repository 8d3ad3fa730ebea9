"""Each check on fake facts, each suggested command, and the program where nothing is installed."""
import ast
import pathlib
import re
import subprocess
import sys

import pytest

from tf_nar.cli import doctor

GOOD = {name: "1.0" for name in doctor.NEEDED} | {"tensorflow": "2.20.0", "tensorflow-text": "2.20.1"}
PLAIN, TPU = dict(GOOD), {**GOOD, "tensorflow-tpu": "2.20.0"}
del TPU["tensorflow"]


def test_every_package_of_the_setup_is_needed():
  setup = (pathlib.Path(__file__).parents[2] / "setup.py").read_text()
  found = next(node.value for node in ast.parse(setup).body if isinstance(node, ast.Assign)
               and [target.id for target in node.targets] == ["BASE"])
  assert {re.split("[<>=]", each)[0] for each in ast.literal_eval(found)} <= set(doctor.NEEDED)


def without(name):
  return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize("finding", [
    doctor.check_python((3, 11)),
    doctor.check_python((3, 12)),
    doctor.check_pins(GOOD, {"tensorflow": "2.20.0", "not-needed": "3"}),
    doctor.check_one_tensorflow(PLAIN, tpu=False),
    doctor.check_one_tensorflow(TPU, tpu=True),
    doctor.check_one_tensorflow({"tensorflow-cpu": "2.20.0"}, tpu=False),
    doctor.check_text(PLAIN, tpu=False),
    doctor.check_text(TPU, tpu=True),
    doctor.check_import({"gpus": []}, tpu=False),
    doctor.check_tpu({"tpu_kernels": 0}, tpu=False),
    doctor.check_tpu({"tpu_kernels": 1}, tpu=True),
    doctor.check_gpus({"gpus": []}, driver=None),
    doctor.check_gpus({"gpus": ["/gpu:0"]}, driver="nvidia-smi"),
    doctor.check_buckets({"schemes": ["file", "gs"]}),
    doctor.check_cpu("flags : avx amx_bf16", 2, "x86_64"),
    doctor.check_cpu("", 2, "aarch64"),
    doctor.check_space("disk", 9.0, 1, 5, "make room"),
    doctor.check_locale("UTF-8"),
    doctor.check_locale("utf8"),
], ids=lambda finding: finding.about)
def test_all_is_well(finding):
  assert finding.status == "ok" and finding.mend == ""


@pytest.mark.parametrize("finding, status, found, mend", [
    (doctor.check_python((3, 10)), "FAIL", "3.10; 3.11 or 3.12 is required", "make PYTHON=python3.12"),
    (doctor.check_python((3, 13)), "FAIL", "3.13; 3.11 or", "rm -rf .venv"),
    (doctor.check_pins(without("keras"), {}), "FAIL", "missing: keras", doctor.INSTALL),
    (doctor.check_pins({**GOOD, "keras": "3.9"}, {"keras": "3.15.1"}), "warn",
     "keras 3.9 (pinned 3.15.1)", "pip install -c constraints-cpu.txt"),
    (doctor.check_one_tensorflow({}, tpu=False), "FAIL", "not installed", "-e '.[cpu,dev]'"),
    (doctor.check_one_tensorflow({}, tpu=True), "FAIL", "not installed", "-e '.[tpu]'"),
    (doctor.check_one_tensorflow({**PLAIN, "tensorflow-cpu": "2.20.0"}, tpu=False), "FAIL",
     "tensorflow and tensorflow-cpu were installed over each other",
     "pip uninstall -y tensorflow tensorflow-cpu; pip install"),
    (doctor.check_one_tensorflow({**TPU, "tensorflow": "2.20.0"}, tpu=True), "FAIL",
     "tensorflow and tensorflow-tpu",
     "-e '.[tpu]'; pip install --no-deps -c constraints-tpu.txt tensorflow-text"),
    (doctor.check_one_tensorflow(PLAIN, tpu=True), "FAIL", "tensorflow is installed, but tensorflow-tpu is required",
     "pip uninstall -y tensorflow; pip install -c constraints-tpu.txt"),
    (doctor.check_text({**GOOD, "tensorflow-text": "2.19.0"}, tpu=False), "FAIL",
     "2.19.0 does not match tensorflow 2.20.0", "pip install --no-deps 'tensorflow-text==2.20.*'"),
    (doctor.check_text(without("tensorflow-text"), tpu=False), "FAIL", "tensorflow is missing", doctor.INSTALL),
    (doctor.check_text({}, tpu=True), "FAIL", "tensorflow-text or tensorflow is missing", doctor.TEXT_TPU),
    (doctor.check_import({"error": "boom"}, tpu=False), "FAIL", "boom",
     "make a new environment, then pip install"),
    (doctor.check_tpu({"tpu_kernels": 0}, tpu=True), "FAIL", "no kernel of ConfigureDistributedTPU",
     "pip uninstall -y tensorflow "),
    (doctor.check_gpus({"gpus": []}, driver="nvidia-smi"), "warn", "TensorFlow sees none", "-e '.[gpu,dev]'"),
    (doctor.check_buckets({"schemes": ["file"]}), "warn", "only local paths",
     "pip install tensorflow-io-gcs-filesystem"),
    (doctor.check_cpu("flags : sse2", 2, "x86_64"), "FAIL", "no AVX", "use another machine"),
    (doctor.check_space("disk", 3.0, 1, 5, "make room"), "warn", "3.0 GiB free", "make room"),
    (doctor.check_space("disk", 0.5, 1, 5, "make room"), "FAIL", "0.5 GiB free", "make room"),
    (doctor.check_locale("ISO-8859-1"), "FAIL", "ISO-8859-1; UTF-8 is required", "export PYTHONUTF8=1"),
], ids=lambda value: value.about if isinstance(value, doctor.Finding) else "")
def test_what_is_wrong_and_how_to_mend_it(finding, status, found, mend):
  assert finding.status == status
  assert found in finding.found
  assert mend in finding.mend


def test_bfloat16_is_named():
  said = doctor.check_cpu("avx amx_bf16 avx512_bf16", 4, "x86_64").found
  assert said == "4 cores, bfloat16 by amx_bf16 and avx512_bf16"
  assert "emulation (slow: models may" in doctor.check_cpu("avx", 4, "x86_64").found


@pytest.mark.parametrize("flags, machine, hinted", [
  ("avx avx2", "x86_64", True), ("avx avx512_vnni", "x86_64", False), ("avx amx_tile", "x86_64", False),
  ("", "x86_64", False), ("neon", "aarch64", False)])
def test_what_tensorflow_leaves_off(flags, machine, hinted):
  assert ("TF_ENABLE_ONEDNN_OPTS=1" in doctor.check_cpu(flags, 4, machine).found) == hinted


def test_pins_are_read_under_one_spelling():
  pins = doctor.read_pins("# a==1\n-c x.txt\nMl_Dtypes==0.6.0\nhf.xet==1\nlibtpu\n")
  assert pins == {"ml-dtypes": "0.6.0", "hf-xet": "1"}


def test_free_memory():
  assert doctor.free_memory("MemTotal: 9 kB\nMemAvailable:   2097152 kB\n") == 2.0
  assert doctor.free_memory("") == float("inf")


@pytest.mark.parametrize("program, message", [
    ("import no_such_tensorflow", "status 1: ModuleNotFoundError: No module named 'no_such_tensorflow'"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "status -11"),
])
def test_probe_survives_a_broken_tensorflow(program, message):
  assert message in doctor.run_probe([sys.executable, "-c", program])["error"]


def test_probe_reads_the_last_line():
  program = """print('chatter'); print('{"gpus": []}')"""
  assert doctor.run_probe([sys.executable, "-c", program]) == {"gpus": []}


def test_doctor_runs_where_nothing_is_installed():
  # -S leaves out site-packages, so that only the standard library can be imported.
  done = subprocess.run([sys.executable, "-S", doctor.ROOT / "bin/doctor.py"], capture_output=True, text=True)
  assert done.returncode == 1, done.stderr
  assert "FAIL  packages         missing: absl-py" in done.stdout
  assert "FAIL  tensorflow       not installed  ->  pip install -c constraints-cpu.txt" in done.stdout
  assert done.stderr == ""
