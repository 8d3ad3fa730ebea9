"""The NAR student on IWSLT14 de-en, the small model of the original program.

The settings are those of its launch scripts: about 200 sentences per update.

  python bin/train.py --config=configs/nat_em_iwslt14.py --data_dir=data/iwslt14_de_en \\
      --workdir=runs/nat_em_iwslt14

Not measured yet, as it needs an accelerator.
"""
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import nat_em


def get_config():
  return config.Experiment(
    family="nat_em",
    model=nat_em.Config(transformer.SMALL),
    search=nat_em.Search(odd=True, alpha=1.4),
    train=config.Train(
      steps=120_000, tokens_per_batch=6_144, max_length=175, validate_every=2_000, keep=5,
      optimizer=config.Optimizer(
        learning_rate=0.1, warmup=4_000, schedule="nat_em", bias_correction=False, weight_decay=1e-4),
    ),
  )
