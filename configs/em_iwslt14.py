"""The whole alternation on IWSLT14 de-en, the small model of the original program.

It has 20 candidates per sentence; every model is trained from scratch in each round.

  python bin/em.py --config=configs/em_iwslt14.py --data_dir=data/iwslt14_de_en --workdir=runs/em_iwslt14

Not measured yet, as it needs an accelerator. The original's number of rounds is not known.
"""
from configs import ar_iwslt14
from configs import nat_em_iwslt14
from tf_nar.em import config


def get_config():
  return config.Alternation(
    teacher=ar_iwslt14.get_config(), student=nat_em_iwslt14.get_config(), rounds=3, nbest=20, nbest_alpha=1.4)
