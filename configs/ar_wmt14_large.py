"""The AR teacher on WMT14 en-de, the large model of the original program.

The settings are those of its launch scripts for the base model: about 1,280 sentences per update, in eight
micro-batches.

  python bin/train.py --config=configs/ar_wmt14_large.py --data_dir=data/wmt14_en_de \\
      --workdir=runs/ar_wmt14_large

Not measured yet, as it needs an accelerator.
"""
import dataclasses

from configs import ar_wmt14
from tf_nar.layers import transformer
from tf_nar.models import ar


def get_config():
  return dataclasses.replace(ar_wmt14.get_config(), model=ar.Config(transformer.BIG))
