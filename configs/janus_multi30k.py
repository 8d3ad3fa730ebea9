"""JANUS on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges): one model that translates in two modes.

  python bin/train.py --config=configs/janus_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/janus
  python bin/translate.py --workdir=runs/janus --set=search.beam=5 --input=test.en
  python bin/translate.py --workdir=runs/janus --set=search.mode=nar --set=search.candidates=5 --input=test.en

The sizes, text and updates are those of cmlm_multi30k. Validation translates autoregressively, with a beam of 1; both
modes are then those of one checkpoint, the best so. The five terms of the paper's figure, with weight 1, are
--set=model.weights.nar=1 --set=model.weights.aux=1 --set=model.weights.ar_aux=1 --set=model.weights.ar_nar=0.
Measured on distilled text, from a teacher's weights: test BLEU 39.4 by beam search, 33.8 in ten passes of Mask-Predict
(docs/results/passes.md).
"""
from configs import nat_em_multi30k
from tf_nar import config
from tf_nar.models import janus


def get_config():
  student = nat_em_multi30k.get_config()  # The same sizes and updates, to compare families.
  return config.Experiment(
    family="janus",
    model=janus.Config(student.model.net),
    search=janus.Search(beam=1, extra_length=20),
    train=student.train,
  )
