"""bin/export_ct2.py from flags to its output; the code that it prints is run unchanged."""
import os
import subprocess
import sys

import pytest

pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed; it comes with the extra ct2.")

from tests.export import tiny


def call(*command, **kw):
  return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, **kw)


def test_export_and_use(load, tmp_path, capsys):
  run, out = tiny.make(tmp_path / "ar", "ar", tiny.VOCABULARIES["bpe"]()), f"{tmp_path}/out"
  load("export_ct2")[1](f"--workdir={run}", f"--out={out}", "--set=search.alpha=2.0")
  printed = capsys.readouterr().out
  bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
  lines = "\n".join(printed.splitlines()[-3:]).replace("...", "a low house")
  elsewhere = {"cwd": tmp_path, "env": bare}
  said = call("-c", lines + "\nassert 'tf_nar' not in sys.modules and 'tensorflow' not in sys.modules", **elsewhere)
  assert said.returncode == 0 and said.stdout.strip(), said.stderr
  piped = call(f"{out}/translate.py", input="a low house\n\n", **elsewhere)
  assert piped.stdout == said.stdout + "\n"
  assert sorted(os.listdir(out)) == ["bpe.codes", "config.json", "metadata.json", "model.bin", "shared_vocabulary.json",
                                     "target.json", "translate.py", "vocab.txt"]


def test_refusals_are_one_line(refused, tmp_path):
  line = refused("export_ct2", f"--workdir={tmp_path}/none", f"--out={tmp_path}/out")
  assert line.startswith(f"export_ct2: No run at {tmp_path}/none")
