"""Copies a finished run into a small folder to publish, as those in pretrained/: weights in bfloat16, no checkpoints.

  python bin/pack.py --workdir=runs/best/round_1/student --out=pretrained/multi30k_en_de
  python bin/pack.py --workdir=runs/best/round_1/teacher --out=pretrained/multi30k_en_de/teacher

The folder is a run folder: all programs take it as --workdir. Its matrices are rounded to bfloat16, which halves their
size. A model in mixed_bfloat16 rounds them in every computation anyway, so that its translations stay the same; measure
a packed float32 model with bin/evaluate.py before you publish it.
"""
import os

from tf_nar import program

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The finished run to copy.", required=True)
OUT = flags.DEFINE_string("out", None, "The folder to make; it must not hold a run yet.", required=True)


def pack():
  """Packs the run given by the flags."""
  from tf_nar import runs
  run = runs.load(WORKDIR.value)
  if os.path.exists(os.path.join(OUT.value, runs.CONFIG)):
    raise ValueError(f"--out={OUT.value} holds a run already; choose another folder.")
  size = runs.pack(run, OUT.value)
  print(program.typed(f"{size / 1e6:.1f} MB in {OUT.value}. Try it:\n"
                      f"  python bin/translate.py --workdir={OUT.value}"))


def main(argv):
  program.run("pack", pack, argv)
