"""The NAR student on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/nat_em_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/student

That trains on the original text; configs/em_multi30k.py trains on a teacher's translations. The number of updates is
for a student that starts from its teacher's weights (--warm_start); from scratch it takes several times as many.
Measured with --warm_start=multi30k_en_de/teacher, with ODD: test BLEU 28.8 trained on the original text, 32.0 on its
translations, the mean of three seeds (docs/results/latents.md).
"""
import dataclasses

from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import nat_em


def get_config():
  return config.Experiment(
    family="nat_em",
    model=nat_em.Config(dataclasses.replace(transformer.TINY, dropout=0.2)),
    search=nat_em.Search(odd=True),
    train=config.Train(
      steps=1_440,
      tokens_per_batch=4_096,
      max_length=64,
      optimizer=config.Optimizer(learning_rate=0.0025, warmup=800, cooldown=240),
      log_every=60,
      validate_every=120,  # About an epoch.
      patience=15,
    ),
  )
