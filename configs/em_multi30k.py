"""EM on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges): distillation, then two rounds.

  python data_prep/prepare.py --tokenizer=bpe --operations=10000 \\
      --source=train.lc.norm.tok.en --target=train.lc.norm.tok.de \\
      --valid_source=val.lc.norm.tok.en --valid_target=val.lc.norm.tok.de --out=data/multi30k_en_de
  python bin/em.py --config=configs/em_multi30k.py --data_dir=data/multi30k_en_de --workdir=runs/em_multi30k

The text is in data/task1/tok of github.com/multi30k/dataset. It takes hours on two CPU cores; the same command resumes
after an interruption. Measured from the packed teacher: with ODD 31.9, 31.9 and 32.3 test BLEU by round, with nine
lengths ranked by that teacher 35.5, 36.3 and 36.3 (docs/results/em.md). To begin from it, prepare the text with
--reuse_vocab=pretrained/multi30k_en_de/teacher, and set first_teacher=multi30k_en_de/teacher; rule=first repeats
distillation, without EM.
"""
from configs import ar_multi30k
from configs import nat_em_multi30k
from tf_nar.em import config


def get_config():
  return config.Alternation(
    teacher=ar_multi30k.get_config(),
    student=nat_em_multi30k.get_config(),
    rounds=3,  # The first is plain distillation.
    raw_student=False,  # Trained from scratch, it would need more updates.
    nbest=5,
    nbest_alpha=1.8,  # A smaller length penalty gives candidates that are too short.
    warm_start_teacher=True,
    later_teacher=(
      "train.steps=480", "train.tokens_per_batch=4096", "train.validate_every=120", "train.average=1",
      "train.optimizer.learning_rate=0.0025", "train.optimizer.warmup=160", "train.optimizer.cooldown=160",
      "model.net.dropout=0.2"),
    student_from_teacher=True,
  )
