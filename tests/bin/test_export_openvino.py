"""bin/export_openvino.py from flags to its output; the code that it prints is run unchanged, its folder evaluated."""
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("openvino", reason="OpenVINO is not installed; it comes with the extra openvino.")

from tests.export import tiny


def call(*command, **kw):
  return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, **kw)


def test_export_use_and_evaluate(load, tmp_path, capsys):
  run, out = tiny.make(tmp_path / "nat", "glat", tiny.VOCABULARIES["bpe"]()), f"{tmp_path}/out"
  for name in ("source", "reference"):
    (tmp_path / name).write_text("a low house\n\nthe tower is new\n")
  files = f"--source={tmp_path}/source", f"--reference={tmp_path}/reference"
  load("export_openvino")[1](f"--workdir={run}", f"--out={out}", "--set=search.candidates=2", *files)
  printed = capsys.readouterr().out
  assert sorted(os.listdir(out)) == [
    "README.md", "bpe.codes", "decoder.bin", "decoder.xml", "metadata.json", "model.bin", "model.xml", "ov_drafts.py",
    "ov_network.py", "ov_search.py", "ov_words.py", "target.json", "translate.py", "vocab.txt"]
  bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
  lines = "\n".join(printed.splitlines()[-3:]).replace("...", "a low house")
  elsewhere = {"cwd": tmp_path, "env": bare}
  said = call("-c", lines + "\nassert 'tf_nar' not in sys.modules and 'tensorflow' not in sys.modules", **elsewhere)
  assert said.returncode == 0, said.stderr
  piped = call(f"{out}/translate.py", input="a low house\n\n", **elsewhere)
  assert piped.stdout == said.stdout + "\n"
  load("evaluate")[1](f"--openvino={out}", f"--output={tmp_path}/report.json", *files)
  assert json.loads((tmp_path / "report.json").read_text())["facts"]["openvino"] == out
  assert (tmp_path / "report.hypotheses.txt").read_text().splitlines()[:2] == piped.stdout.splitlines()


def test_refusals_are_one_line(refused, tmp_path):
  for program, arguments, message in (
      ("export_openvino", [f"--workdir={tmp_path}/none", f"--out={tmp_path}/out"], f"No run at {tmp_path}/none"),
      ("export_openvino", ["--workdir=x", f"--out={tmp_path}/out", "--source=y"],
       "--source and --reference are the two"),
      ("evaluate", [f"--openvino={tmp_path}", "--set=search.odd=0", "--source=x", "--reference=y"],
       "--openvino is a model with its search; leave out")):
    assert refused(program, *arguments).startswith(f"{program}: {message}")
