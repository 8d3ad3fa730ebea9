"""Vocabularies, which map text to token ids and back. Both kinds reserve the first ids as defined in `types`.

A vocabulary is that of the target language and, unless the source language has a separate one, of both languages.

`WordList` is for text whose tokens are separated by spaces, optionally split further by byte-pair encoding (Sennrich
et al., arXiv:1508.07909); `Pieces` is a SentencePiece model (Kudo and Richardson, arXiv:1808.06226) for raw text.
"""
import hashlib
import json
import os
from typing import Iterable

from tf_nar import types
from tf_nar.data import atomic
from tf_nar.data import json_file
from tf_nar.data import language
from tf_nar.data import subwords

WORDS_FILE, CODES_FILE, PIECES_FILE = "vocab.txt", "bpe.codes", "vocab.model"
SOURCE = "source."  # Begins the names of the files of a separate source vocabulary.
TARGET_FILE = "target.json"  # Holds the sacrebleu tokeniser of the target language, and `Vocabulary.repeats`.
SPACE = "\u2581"  # Begins a piece that begins a word.
_CACHED_WORDS = 1_000_000  # Distinct words whose segmentation is cached, which limits the memory for a long corpus.


class Vocabulary:
  """What both kinds share. Sources are encoded by `vocab.source`, all other text by the vocabulary itself."""

  separate_source = None  # The vocabulary of the source language if it is a separate one.
  repeats = ()  # Ids of tokens that the targets of the text it was made for often repeat at once.

  @property
  def source(self) -> "Vocabulary":
    """The vocabulary of the source language; this one if it is joint."""
    return self if self.separate_source is None else self.separate_source

  @property
  def source_size(self) -> int:
    """The number of tokens of a separate source vocabulary, the `source_vocab` of a net; 0: there is none."""
    return 0 if self.separate_source is None else len(self.separate_source)

  @property
  def size_text(self) -> str:
    """The number of tokens, in words."""
    return f"{self.source_size} source and {len(self)} target tokens" if self.source_size else f"{len(self)} tokens"

  @property
  def sha256(self) -> str:
    """The hash of the files, of both vocabularies if there are two."""
    found = hashlib.sha256(b"".join(self.files().values()))
    if self.separate_source is not None:
      found.update(self.separate_source.sha256.encode())
    return found.hexdigest()

  def repeatable(self) -> list[bool]:
    """Returns for each token whether two of it in a row may well be parts of one word, list of bool.

    They are if they are in `repeats`, digits, or what is written without spaces. `parts` has the text of each token
    that does not begin a word, "" for others.
    """
    return [bool(part) and (token in self.repeats or language.repeats(part)) for token, part in enumerate(self.parts())]

  def save(self, folder: str) -> None:
    """Writes the files, those of a separate source vocabulary too, and `target.json`."""
    told = json.dumps({"bleu_tokenize": self.bleu_tokenize, "repeats": list(self.repeats)})
    atomic.write(os.path.join(folder, TARGET_FILE), told.encode())
    separate = {} if self.separate_source is None else self.separate_source.files()
    for name, data in (self.files() | {SOURCE + name: data for name, data in separate.items()}).items():
      atomic.write(os.path.join(folder, name), data)


class WordList(Vocabulary):
  """A list of tokens, whose ids are their line numbers. With `codes`, words are first split by those BPE merges.

  A merge that gives a token outside the list is undone, so that a rare word is split into smaller known subwords, with
  UNK only for a character that is not in the list.
  """

  tokenized = True

  def __init__(self, tokens, codes=None, bleu_tokenize=language.NONE, repeats=()):
    """Makes a vocabulary.

    Args:
      tokens: strings, the reserved ones first: all of `types.SPECIALS`, or the first four, as in the
        original NAT-EM program; then `has_mask` is False and id 4 is an ordinary token.
      codes: text of a subword-nmt file of merges, or None.
      bleu_tokenize: sacrebleu's tokeniser for the target language.
      repeats: see `Vocabulary`.

    Raises:
      ValueError: if the reserved tokens are not first, or if a token occurs twice.
    """
    self.tokens, self.codes, self.bleu_tokenize, self.repeats = list(tokens), codes, bleu_tokenize, repeats
    if tuple(self.tokens[:4]) != types.SPECIALS[:4]:
      raise ValueError(f"{WORDS_FILE} must begin with {' '.join(types.SPECIALS)}, one per line; "
                       f"it begins with {' '.join(self.tokens[:5])!r}. "
                       "For `token count` lines use data_prep/prepare.py --tokenizer=words.")
    self.has_mask = self.tokens[4:5] == [types.SPECIALS[types.MASK]]
    ids = {token: position for position, token in enumerate(self.tokens)}
    if len(ids) != len(self.tokens):
      twice = next(token for position, token in enumerate(self.tokens) if ids[token] != position)
      raise ValueError(f"{WORDS_FILE} has the token {twice!r} twice; remove one.")
    reserved = types.SPECIALS[:5 if self.has_mask else 4]
    # A `<eos>` typed in a text is an unknown word, and must not end the sentence.
    self._ids = {token: position for token, position in ids.items() if token not in reserved}
    self._skipped = {types.PAD, types.BOS} | ({types.MASK} if self.has_mask else set())
    self._bpe = subwords.bpe(codes, set(self._ids)) if codes else None
    # A list with subwords but without merges expects text that is split into subwords; `plain` joins them.
    self.takes_parts = not codes and any(map(subwords.is_part, self.tokens))

  @property
  def tokenization(self) -> str:
    return "bpe" if self.codes else "words"

  def __len__(self):
    return len(self.tokens)

  def split(self, text: str) -> list[str]:
    """Returns the tokens of a line as strings, unknown ones too. Only the ASCII space separates words."""
    words = [word for word in text.split(" ") if word]
    if self._bpe:
      if len(self._bpe.cache) > _CACHED_WORDS:
        self._bpe.cache.clear()
      words = self._bpe.segment_tokens(words)
    return words

  def encode(self, text: str) -> list[int]:
    """Returns the ids of a line, without EOS."""
    return [self._ids.get(word, types.UNK) for word in self.split(text)]

  def decode(self, ids: Iterable[int | str]) -> str:
    """Returns the text of ids up to the first EOS, with subwords joined; some may be tokens, as in `spell`."""
    return subwords.join(self.spell(_until_end(ids, self._skipped)))

  def plain(self, line: str) -> str:
    """Returns a line of text in whole words, joining subwords if the vocabulary expects text split into subwords."""
    return subwords.join(line.split(" ")) if self.takes_parts else line

  def changes(self, line: str) -> bool:
    """Whether normalization changes a line; always False, as this vocabulary does not normalize."""
    return False

  def parts(self) -> list[str]:
    return [token.removesuffix(subwords.MARK) if subwords.is_part(token) else "" for token in self.tokens]

  def spell(self, ids: Iterable[int | str]) -> list[str]:
    """Returns the token of each id, the reserved ones too; a string, which is a token already, is kept."""
    return [i if isinstance(i, str) else self.tokens[i] for i in ids]

  def files(self) -> dict[str, bytes]:
    """Returns {name: bytes} of `vocab.txt` and, if there are merges, `bpe.codes`."""
    words = {WORDS_FILE: "".join(f"{token}\n" for token in self.tokens).encode()}
    return words | ({CODES_FILE: self.codes.encode()} if self.codes else {})


class Pieces(Vocabulary):
  """A SentencePiece model, from its serialized bytes."""

  tokenized = takes_parts = False
  tokenization = "sentencepiece"

  def __init__(self, model, bleu_tokenize=language.DEFAULT, repeats=()):
    """Loads `model` (bytes); `bleu_tokenize` is sacrebleu's tokeniser for the target language; `repeats`: as above.

    Raises:
      ValueError: if its reserved ids differ from those of `types`.
    """
    self._model, self.bleu_tokenize, self.repeats = model, bleu_tokenize, repeats
    self._processor = _sentencepiece().SentencePieceProcessor(model_proto=model)
    processor = self._processor
    found = (processor.pad_id(), processor.eos_id(), processor.unk_id(), processor.bos_id())
    if found != (types.PAD, types.EOS, types.UNK, types.BOS):
      raise ValueError(f"{PIECES_FILE} must have pad, eos, unk, bos at 0, 1, 2, 3; it has them at {found}. "
                       "Learn it with data_prep/prepare.py.")
    self.has_mask = processor.id_to_piece(types.MASK) == types.SPECIALS[types.MASK]
    self._skipped = {types.PAD, types.BOS} | ({types.MASK} if self.has_mask else set())

  def __len__(self):
    return self._processor.get_piece_size()

  def split(self, text: str) -> list[str]:
    """Returns the tokens of a line of raw text as strings; unknown ones as they are in the text."""
    return self._processor.encode(text, out_type=str)

  def encode(self, text: str) -> list[int]:
    """Returns the ids of a line of raw text, without EOS."""
    return self._processor.encode(text)

  def decode(self, ids: Iterable[int | str]) -> str:
    """Returns the raw text of ids up to the first EOS; some may be tokens, as in `spell`."""
    kept = _until_end(ids, self._skipped)
    return self._processor.decode(self.spell(kept) if any(isinstance(i, str) for i in kept) else kept)

  def plain(self, line: str) -> str:
    """Returns a line of text unchanged, as raw text has whole words."""
    return line

  def changes(self, line: str) -> bool:
    """Whether the model's normalization changes a line, apart from white space."""
    made = self._processor.normalize(line).replace(SPACE, " ")
    return made.split() != line.split()

  def parts(self) -> list[str]:
    spelled = self.spell(range(len(self)))
    # Bytes repeat as digits do.
    return ["0" if self._processor.is_byte(each) else token * (not token.startswith(SPACE))
            for each, token in enumerate(spelled)]

  def spell(self, ids: Iterable[int | str]) -> list[str]:
    """Returns the token of each id, the reserved ones too; a string, which is a token already, is kept."""
    return [i if isinstance(i, str) else self._processor.id_to_piece(int(i)) for i in ids]

  def files(self) -> dict[str, bytes]:
    """Returns {name: bytes} of `vocab.model`."""
    return {PIECES_FILE: self._model}


def load(folder: str) -> Vocabulary:
  """Returns the vocabulary of a data or run folder, `WordList` or `Pieces`, with its separate source vocabulary if any.

  Raises:
    FileNotFoundError: if there is none.
  """
  # Folders of older versions have no target.json; the defaults then apply.
  target = os.path.join(folder, TARGET_FILE)
  vocab = _load(folder, "", json_file.read(target) if atomic.exists(target) else {})
  if vocab is None:
    raise FileNotFoundError(f"No {PIECES_FILE} or {WORDS_FILE} in {folder}: it is not a data or run folder. "
                            "Make a data folder with data_prep/prepare.py.")
  vocab.separate_source = _load(folder, SOURCE, {})
  return vocab


def _load(folder, prefix, told):
  """Returns the vocabulary in the files whose names begin with `prefix`, or None."""
  path = lambda name: os.path.join(folder, prefix + name)
  if atomic.exists(path(PIECES_FILE)):
    return Pieces(_read(path(PIECES_FILE)), **told)
  if not atomic.exists(path(WORDS_FILE)):
    return None
  tokens = _text_of(path(WORDS_FILE)).removesuffix("\n").split("\n")
  codes = _text_of(path(CODES_FILE)) if atomic.exists(path(CODES_FILE)) else None
  try:
    return WordList(tokens, codes, **told)
  except ValueError as problem:
    raise ValueError(f"{folder}: {problem}") from None


def _until_end(ids, skipped):
  kept = []
  for i in ids:
    if i == types.EOS:
      break
    if i not in skipped:
      kept.append(i if isinstance(i, str) else int(i))
  return kept


def _text_of(path):
  """Returns the text of a file without its byte order mark.

  Raises:
    ValueError: if it is not UTF-8.
  """
  try:
    return _read(path).decode("utf-8-sig")
  except UnicodeDecodeError as error:
    raise ValueError(f"{path} is not UTF-8 (byte {error.start + 1}); restore it, or convert it with iconv.") from None


def _read(path):
  with atomic.open_read(path) as file:
    return file.read()


def _sentencepiece():
  try:
    import sentencepiece
  except ImportError as error:
    raise ImportError("A vocab.model needs SentencePiece: pip install sentencepiece.") from error
  return sentencepiece
