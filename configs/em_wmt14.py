"""The whole alternation on WMT14 en-de, the base model of the original program.

It has 20 candidates per sentence; every model is trained from scratch in each round.

  python bin/em.py --config=configs/em_wmt14.py --data_dir=data/wmt14_en_de --workdir=runs/em_wmt14

Not measured yet, as it needs an accelerator. The original's number of rounds is not known. To see every stage of two
rounds on a small machine, set rounds, n-best, updates and sizes, and nothing else:

  --set=rounds=2 --set=nbest=2 --set=teacher.train.steps=20 --set=student.train.steps=20 \\
  --set=teacher.model.net=tiny --set=teacher.model.net.width=64 \\
  --set=teacher.model.net.encoder_layers=2 --set=teacher.model.net.decoder_layers=2      and likewise for the student

On 50,000 pairs (those of Multi30k, and 21,000 made of two of them each; SentencePiece, 8,000 pieces) that took 34
minutes of one core of an AMD EPYC. The models learn nothing in 20 updates; what it shows is that all stages run.
"""
from configs import ar_wmt14
from configs import nat_em_wmt14
from tf_nar.em import config


def get_config():
  return config.Alternation(
    teacher=ar_wmt14.get_config(), student=nat_em_wmt14.get_config(), rounds=3, nbest=20, nbest_alpha=0.6)
