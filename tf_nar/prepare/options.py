"""The options of `prepare`; this module imports nothing heavy, so that --help answers at once."""
import dataclasses

TOKENIZERS = "sentencepiece", "words", "bpe"
NORMALIZATIONS = "nmt_nfkc", "nmt_nfkc_cf", "nfkc", "identity"  # Names of SentencePiece's normalization rules.
AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Options:
  """The options of `prepare.py`; they are described by its flags and its help in tf_nar/cli/prepare.py."""

  source: tuple
  target: tuple
  valid_source: str
  valid_target: str
  out: str
  tokenizer: str = "sentencepiece"
  vocab_size: int = 32_000
  character_coverage: float = 0.9995
  normalization: str = "nmt_nfkc"
  byte_fallback: bool = False
  learn_lines: int = 1_000_000
  operations: int = 10_000
  vocabulary_threshold: int = 0
  separate_vocab: bool = False
  vocab: str | None = None
  source_vocab: str | None = None
  minimum_count: int = 1
  reuse_vocab: str | None = None
  bleu_tokenize: str = AUTO
  max_length: int = 256
  max_ratio: float = 3.0
  weights: tuple = ()
  temperature: float = 1.0
  deduplicate: bool = False
  dropped: str = ""
  shards: int = 4
  processes: int = 1
  runner: str = ""
  runner_options: tuple = ()
