"""LaNMT with latents of the target on WMT16 en-ro, with the sizes of Lee et al. (EMNLP 2020).

  python bin/train.py --config=configs/lanmt_wmt16.py --data_dir=data/wmt16_en_ro --workdir=runs/lanmt_wmt16

On a teacher's translations. Cost: 102,000 updates of 8,192 padded tokens. Not measured yet, as it needs an accelerator.
"""
import dataclasses

from configs import lanmt_wmt14
from tf_nar.layers import transformer


def get_config():
  base = lanmt_wmt14.get_config()
  net = dataclasses.replace(base.model.net, width=transformer.SMALL.width, ffn=transformer.SMALL.ffn)
  train = dataclasses.replace(
    base.train, optimizer=dataclasses.replace(base.train.optimizer, warmup=8_000, accumulate=1))
  return dataclasses.replace(base, model=dataclasses.replace(base.model, net=net), train=train)
