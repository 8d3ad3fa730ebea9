"""LaNMT with latents of the target on IWSLT16 de-en, with the sizes of Lee et al. (EMNLP 2020).

  python bin/train.py --config=configs/lanmt_iwslt16.py --data_dir=data/iwslt16_de_en --workdir=runs/lanmt_iwslt16

On a teacher's translations. Cost: 102,000 updates of 4,096 padded tokens. Not measured yet, as it needs an accelerator.
"""
import dataclasses

from configs import lanmt_wmt16


def get_config():
  larger = lanmt_wmt16.get_config()
  return dataclasses.replace(larger, train=dataclasses.replace(larger.train, tokens_per_batch=4_096))
