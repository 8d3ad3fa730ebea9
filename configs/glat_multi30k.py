"""The Glancing Transformer on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/glat_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/glat

Measured: docs/results.md.
"""
import dataclasses

from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import glat
from tf_nar.ops import glancing

STEPS = 2_400


def get_config():
  return config.Experiment(
    family="glat",
    model=glat.Config(dataclasses.replace(transformer.TINY, dropout=0.2), glance=glancing.Glance(updates=STEPS)),
    search=glat.Search(odd=False),  # As the paper; search.odd=True says no word twice in a row.
    train=config.Train(
      steps=STEPS,
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
