"""The wheel, installed into a separate folder and used from another, with the packages of this environment."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import tf_nar

ROOT = pathlib.Path(__file__).parent.parent
SOURCES = "tf_nar", "configs", "setup.py", "pyproject.toml", "README.md", "LICENSE"
WORDS = "the a low new house tower river lower newest is was over under red green".split()
PYTHON = """
import pathlib, tf_nar
print(pathlib.Path(tf_nar.__file__).parent, tf_nar.__version__)
print(len(tf_nar.load("run").translate(["the low house", "a red river"])))
"""


def pip(python, *words, **options):
  subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *words], check=True, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  """Returns the wheel, built from a copy, as a build leaves files next to its sources."""
  copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
  for name in SOURCES:
    source = ROOT / name
    shutil.copytree(source, copy / name) if source.is_dir() else shutil.copy(source, copy / name)
  pip(sys.executable, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", out, copy)
  return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
  """Returns a folder with the installed wheel."""
  target = tmp_path_factory.mktemp("target")
  pip(sys.executable, "install", "--quiet", "--no-deps", "--target", target, wheel)
  return target


@pytest.fixture
def call(installed, tmp_path):
  """Returns a function that runs a command in an empty folder and returns its output."""
  def call(*command):
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout

  return call


@pytest.mark.slow
def test_it_is_used_from_another_folder(call, installed, tmp_path):
  command = str(installed / "bin/tf-nar")
  for name, lines in (("train", 60), ("valid", 4)):
    for side in ("src", "tgt"):
      text = "".join(f"{WORDS[n % 15]} {WORDS[n * 7 % 15]} {WORDS[n * 4 % 15]}\n" for n in range(lines))
      (tmp_path / f"{name}.{side}").write_text(text)
  assert call(command, "--version") == f"{tf_nar.__version__}\n"
  assert "\nar_multi30k " in call(command, "configs")
  said = call(command, "prepare", "--tokenizer=bpe", "--operations=20", "--source=train.src", "--target=train.tgt",
              "--valid_source=valid.src", "--valid_target=valid.tgt", "--out=data")
  assert "Next: tf-nar train --config=... --data_dir=data" in said
  net = "width=16", "ffn=16", "heads=2", "encoder_layers=1", "decoder_layers=1"
  small = [f"--set=model.net.{name}" for name in net]
  short = [f"--set=train.{name}" for name in ("steps=2", "tokens_per_batch=64", "validate_every=2", "average=1")]
  said = call(command, "train", "--config=ar_multi30k", "--data_dir=data", "--workdir=run", *small, *short)
  assert "Trained. Translate with:\n  tf-nar translate --workdir=run" in said
  assert len(call(command, "translate", "--workdir=run", "--input=valid.src").splitlines()) == 4
  assert call(sys.executable, "-c", PYTHON) == f"{installed / 'tf_nar'} {tf_nar.__version__}\n2\n"
  assert call(sys.executable, "-m", "tf_nar", "--version") == f"{tf_nar.__version__}\n"
  assert (installed / "tf_nar/py.typed").exists() and (installed / "tf_nar/serve/page.html").exists()
  assert (installed / "tf_nar/serve/openapi.json").exists()


@pytest.mark.slow
def test_it_is_used_in_an_empty_environment(wheel, tmp_path):
  # Fetches all packages, which takes minutes.
  plain = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
  subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
  pip(tmp_path / "env/bin/python", "install", "--quiet", "-c", ROOT / "constraints-cpu.txt", f"{wheel}[cpu]", env=plain)
  run = lambda *words: subprocess.run(
    [tmp_path / "env/bin/tf-nar", *words], cwd=tmp_path, env=plain, capture_output=True, text=True, check=False)
  assert "\nar_multi30k " in run("configs").stdout
  (tmp_path / "lines").write_text("a man sleeps .\n")
  said = run("translate", f"--workdir={ROOT}/pretrained/multi30k_en_de", "--input=lines")
  assert said.returncode == 0 and said.stdout.split()[0] == "ein", said.stderr
