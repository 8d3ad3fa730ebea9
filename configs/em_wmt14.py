"""The whole alternation on WMT14 en-de, the base model of the original program.

It has 20 candidates per sentence; every model is trained from scratch in each round.

  python bin/em.py --config=configs/em_wmt14.py --data_dir=data/wmt14_en_de --workdir=runs/em_wmt14

Not measured yet, as it needs an accelerator. The original's number of rounds is not known.
"""
from configs import ar_wmt14
from configs import nat_em_wmt14
from tf_nar.em import config


def get_config():
  return config.Alternation(
    teacher=ar_wmt14.get_config(), student=nat_em_wmt14.get_config(), rounds=3, nbest=20, nbest_alpha=0.6)
