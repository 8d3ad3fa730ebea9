"""The NAT of Gu et al. on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python data_prep/align.py --data_dir=data/multi30k_en_de --out=data/multi30k_en_de_aligned
  python bin/train.py --config=configs/nat_fertility_multi30k.py --data_dir=data/multi30k_en_de_aligned \\
      --workdir=runs/fertility

--set=model.copy=uniform, or soft, needs no alignments. Measured: docs/results.md.
"""
import dataclasses

from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import nat_fertility


def get_config():
  return config.Experiment(
    family="nat_fertility",
    model=nat_fertility.Config(dataclasses.replace(transformer.TINY, dropout=0.2)),
    search=nat_fertility.Search(),
    train=config.Train(
      steps=2_400,
      tokens_per_batch=4_096,
      max_length=64,
      optimizer=config.Optimizer(learning_rate=0.0025, warmup=800),
      log_every=60,
      validate_every=120,  # About an epoch.
      patience=15,
      keep=10,
      average=10,
    ),
  )
