"""FlowSeq on WMT16 en-ro, with the sizes and settings of configs/flowseq_wmt14.py and half of its updates.

  python bin/train.py --config=configs/flowseq_wmt16.py --data_dir=data/wmt16_en_ro --workdir=runs/flowseq_wmt16

Not measured yet, as it needs an accelerator.
"""
import dataclasses

from configs import flowseq_wmt14


def get_config():
  base = flowseq_wmt14.get_config()
  return dataclasses.replace(base, train=dataclasses.replace(base.train, steps=75_000))
