"""Makes a data folder for training from parallel text: a vocabulary, records, a manifest.

From raw text, with a SentencePiece vocabulary for both languages:

  python data_prep/prepare.py --source=train.en --target=train.de \\
      --valid_source=valid.en --valid_target=valid.de --out=data/en_de

From text that is tokenised (for example by Moses), with joint byte-pair encoding (BPE), as in the papers:

  python data_prep/prepare.py --tokenizer=bpe --operations=10000 --source=train.tok.en ...

From text that is already tokenised and split by BPE, with its list of `token count` lines:

  python data_prep/prepare.py --tokenizer=words --vocab=vocab.txt --source=train.bpe.en ...

With a vocabulary of its own for each language: --separate_vocab. To prepare further text with an existing vocabulary:
--reuse_vocab=data/en_de.

Several files are separated by commas (a.en,b.en) or come with a flag each; they may be compressed (.gz) and remote
(gs://). The result does not depend on the number of --processes.

With Apache Beam (extra `beam`) a cluster encodes the text, and what follows -- goes to its runner. The folder is the
same; docs/scale.md describes what Dataflow needs.

  python data_prep/prepare.py --runner=DirectRunner --source=train.en ... -- --direct_num_workers=4 ...
"""
import functools

from tf_nar import program
from tf_nar.data import language
from tf_nar.prepare import options as options_lib

flags = program.Flags()

_DEFAULT = options_lib.Options  # A class attribute is the default.
GIVEN = [
    flags.DEFINE_list("source", None, "Training text to translate from, one sentence per line.", required=True),
    flags.DEFINE_list("target", None, "Its translation, line by line, file by file.", required=True),
    flags.DEFINE_string("valid_source", None, "Validation text.", required=True),
    flags.DEFINE_string("valid_target", None, "Its translation, the reference of BLEU.", required=True),
    flags.DEFINE_string("out", None, "The data folder to make.", required=True),
    flags.DEFINE_enum("tokenizer", _DEFAULT.tokenizer, options_lib.TOKENIZERS,
                      "sentencepiece: for raw text, learns pieces. bpe: for tokenised text, learns BPE merges. "
                      "words: for text that is already split into the tokens of --vocab."),
    flags.DEFINE_integer("vocab_size", _DEFAULT.vocab_size,
                         "sentencepiece: pieces to learn, 5 reserved ones included."),
    flags.DEFINE_float("character_coverage", _DEFAULT.character_coverage,
                       "sentencepiece: share of the characters of the text that get a piece."),
    flags.DEFINE_enum("normalization", _DEFAULT.normalization, options_lib.NORMALIZATIONS,
                      "sentencepiece: nmt_nfkc merges characters that look alike, such as full-width punctuation or ², "
                      "so the model can never produce the original ones; identity keeps them apart."),
    flags.DEFINE_bool("byte_fallback", _DEFAULT.byte_fallback,
                      "sentencepiece: characters without a piece become their bytes (256 pieces more), not <unk>."),
    flags.DEFINE_integer("learn_lines", _DEFAULT.learn_lines,
                         "sentencepiece: pairs to learn from, evenly spread over the text. 0: all. Learning "
                         "needs about 20 bytes of memory for each byte of them."),
    flags.DEFINE_integer("operations", _DEFAULT.operations, "bpe: number of merges to learn."),
    flags.DEFINE_integer("vocabulary_threshold", _DEFAULT.vocabulary_threshold,
                         "bpe: subwords with a lower count are split into smaller ones."),
    flags.DEFINE_bool("separate_vocab", _DEFAULT.separate_vocab,
                      "Learns a vocabulary of each language, of --vocab_size pieces or --operations merges each, as "
                      "suits languages of different scripts; default: one of both."),
    flags.DEFINE_string("vocab", _DEFAULT.vocab, "words: the vocabulary, a file of `token count` lines."),
    flags.DEFINE_string("source_vocab", _DEFAULT.source_vocab,
                        "words: the vocabulary of the source language, if --vocab is of the target language alone."),
    flags.DEFINE_integer("minimum_count", _DEFAULT.minimum_count,
                         "words, bpe: tokens with a lower count become <unk>; the original NAT-EM has 5."),
    flags.DEFINE_string("reuse_vocab", _DEFAULT.reuse_vocab,
                        "A data or run folder whose vocabulary is used; --tokenizer is then ignored."),
    flags.DEFINE_string("bleu_tokenize", _DEFAULT.bleu_tokenize,
                        f"The sacrebleu tokeniser of the target language: {language.NAMES}; or auto, by its script."),
    flags.DEFINE_integer("max_length", _DEFAULT.max_length,
                         "Pairs with more tokens on a side, EOS included, are dropped."),
    flags.DEFINE_float("max_ratio", _DEFAULT.max_ratio,
                       "Pairs whose longer side has more than this many times the tokens of the shorter are dropped; "
                       "0: none are. The papers on WMT14 and IWSLT14 have 1.5."),
    flags.DEFINE_list("weights", _DEFAULT.weights,
                      "A number for each file of --source, by which its share of the loss is multiplied."),
    flags.DEFINE_float("temperature", _DEFAULT.temperature,
                       "T, which mixes files of different sizes: the share of the loss that a file has grows with the "
                       "T-th root of its size. 1: with its size."),
    flags.DEFINE_bool("deduplicate", _DEFAULT.deduplicate,
                      "Drops pairs that are as one before them, on both sides; the vocabulary is learned from all. "
                      "Needs 50 bytes of memory for a pair."),
    flags.DEFINE_string("dropped", _DEFAULT.dropped,
                        "A file for the number of each line that is dropped, from 1 over all files, a tab, and the "
                        "reason; empty: the numbers of lines by reason are printed alone."),
    flags.DEFINE_integer("shards", _DEFAULT.shards,
                         "Number of record files; for a large corpus, so many that each has about 100 MB."),
    flags.DEFINE_integer("processes", _DEFAULT.processes, "Number of processes that encode the text."),
    RUNNER := flags.DEFINE_string("runner", _DEFAULT.runner, program.RUNNER),
]


def make_folder(runner_options: tuple[str, ...] = ()) -> None:
  """Prepares the text given by the flags."""
  from tf_nar.prepare import folder
  options = options_lib.Options(**{flag.name: flag.value for flag in GIVEN}, runner_options=runner_options)
  print(program.typed(folder.summary(folder.prepare(options), options.out)))


def main(argv: list[str]) -> None:
  argv, options = program.for_runner(argv, RUNNER)
  program.run("prepare", functools.partial(make_folder, options), argv)
