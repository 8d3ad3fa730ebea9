"""Exports an AR run to a CTranslate2 folder, which needs only CTranslate2 and the tokeniser to translate.

  python bin/export_ct2.py --workdir=runs/teacher --out=served/teacher
  python bin/export_ct2.py --workdir=runs/teacher --out=served/teacher_int8 --quantization=int8 --set=search.beam=1

CTranslate2 (https://github.com/OpenNMT/CTranslate2) is a fast inference engine for AR models on CPUs and GPUs, here a
fallback for the NAR model. The folder contains the model, the vocabulary, metadata.json, and translate.py, which shows
how to use them. In float32 it must give random pairs the same scores as the run, else nothing is written;
tf_nar/export/ct2.py lists the differences. Needs the extra `ct2`: pip install -c constraints-cpu.txt -e '.[cpu,ct2]'.
"""
from tf_nar import program

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The run to export, of the family ar.", required=True)
OUT = flags.DEFINE_string("out", None, "The folder to make, which must not exist yet.", required=True)
SET = flags.DEFINE_multi_string("set", [], "Overrides, as search.beam=1; may be repeated.")
QUANTIZATION = flags.DEFINE_enum(
  "quantization", "float32", ("float32", "float16", "int16", "int8"), "Type of the weights.")

USE = """\
import sys; sys.path.insert(0, {out!r}); import translate
model = translate.Translator({out!r})
print(model(["..."])[0])"""


def export() -> None:
  """Exports the run given by the flags."""
  import tensorflow as tf

  from tf_nar.export import ct2
  tf.config.set_visible_devices([], "GPU")  # The check compares with numbers that were computed on the CPU.
  ct2.export(WORKDIR.value, OUT.value, overrides=SET.value, quantization=QUANTIZATION.value)
  print(USE.format(out=OUT.value))


def main(argv: list[str]) -> None:
  program.run("export_ct2", export, argv, also=(RuntimeError,))
