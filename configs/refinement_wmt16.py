"""Deterministic refinement on WMT16 en-ro: configs/refinement_wmt14.py with fewer and smaller updates, for less text.

  python bin/train.py --config=configs/refinement_wmt16.py --data_dir=data/wmt16_en_ro \\
      --workdir=runs/refinement_wmt16

Not measured yet, as it needs an accelerator. The paper trains on a teacher's translations; see bin/em.py.
"""
import dataclasses

from configs import refinement_wmt14


def get_config():
  wmt14 = refinement_wmt14.get_config()
  optimizer = dataclasses.replace(wmt14.train.optimizer, accumulate=4)
  return dataclasses.replace(wmt14, train=dataclasses.replace(wmt14.train, steps=50_000, optimizer=optimizer))
