"""FlowSeq on WMT16 en-ro, with the sizes and settings of configs/flowseq_wmt14.py and half its updates in each phase.

  python bin/train.py --config=configs/flowseq_wmt16.py --data_dir=data/wmt16_en_ro --workdir=runs/flowseq_wmt16

Cost: 30,000 updates at most and 75,000, of 65,536 padded tokens. Not measured yet, as it needs an accelerator.
"""
import dataclasses

from configs import flowseq_wmt14
from tf_nar.ops import schedule

STEPS = 75_000


def get_config():
  base = flowseq_wmt14.get_config()
  first, *rest = base.phases
  return dataclasses.replace(
    base,
    model=schedule.scaled(base.model, STEPS, base.train.steps),
    train=dataclasses.replace(base.train, steps=STEPS),
    phases=(dataclasses.replace(first, changes=(*first.changes, "train.steps=30000")), *rest))
