"""Vocabularies, which map text to token ids and back. Both kinds reserve the first ids as defined in `types`.

`WordList` is for text whose tokens are separated by spaces, optionally split further by byte-pair encoding (Sennrich
et al., arXiv:1508.07909); `Pieces` is a SentencePiece model (Kudo and Richardson, arXiv:1808.06226) for raw text.
"""
import hashlib
import io
import json
import os

from tf_nar import types
from tf_nar.data import atomic
from tf_nar.data import json_file
from tf_nar.data import language
from tf_nar.data import text

WORDS_FILE, CODES_FILE, PIECES_FILE = "vocab.txt", "bpe.codes", "vocab.model"
TARGET_FILE = "target.json"  # Holds the sacrebleu tokeniser of the target language.
MARK = "@@"  # Ends a subword that is not the last of its word, as subword-nmt writes it.
SPACE = "\u2581"  # Begins a piece that begins a word.
_CACHED_WORDS = 1_000_000  # Distinct words whose segmentation is cached, which limits the memory for a long corpus.


class WordList:
  """A list of tokens, whose ids are their line numbers. With `codes`, words are first split by those BPE merges.

  A merge that gives a token outside the list is undone, so that a rare word is split into smaller known subwords, with
  UNK only for a character that is not in the list.
  """

  tokenized = True

  def __init__(self, tokens, codes=None, bleu_tokenize=language.NONE):
    """Makes a vocabulary.

    Args:
      tokens: strings, the reserved ones first: all of `types.SPECIALS`, or the first four, as in the
        original NAT-EM program; then `has_mask` is False and id 4 is an ordinary token.
      codes: text of a subword-nmt file of merges, or None.
      bleu_tokenize: sacrebleu's tokeniser for the target language.

    Raises:
      ValueError: if the reserved tokens are not first, or if a token occurs twice.
    """
    self.tokens, self.codes, self.bleu_tokenize = list(tokens), codes, bleu_tokenize
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
    self._bpe = bpe(codes, set(self._ids)) if codes else None
    # A list with subwords but without merges expects text that is split into subwords; `plain` joins them.
    self.takes_parts = not codes and any(map(is_part, self.tokens))

  @property
  def tokenization(self):
    return "bpe" if self.codes else "words"

  def __len__(self):
    return len(self.tokens)

  def split(self, text):
    """Returns the tokens of a line as strings, unknown ones too. Only the ASCII space separates words."""
    words = [word for word in text.split(" ") if word]
    if self._bpe:
      if len(self._bpe.cache) > _CACHED_WORDS:
        self._bpe.cache.clear()
      words = self._bpe.segment_tokens(words)
    return words

  def encode(self, text):
    """Returns the ids of a line, without EOS."""
    return [self._ids.get(word, types.UNK) for word in self.split(text)]

  def decode(self, ids):
    """Returns the text of ids up to the first EOS, with subwords joined; some may be tokens, as in `spell`."""
    return join(self.spell(_until_end(ids, self._skipped)))

  def plain(self, line):
    """Returns a line of text in whole words, joining subwords if the vocabulary expects text split into subwords."""
    return join(line.split(" ")) if self.takes_parts else line

  def changes(self, line):
    """Whether normalization changes a line; always False, as this vocabulary does not normalize."""
    return False

  def within_words(self):
    """Returns for each token whether two of it in a row are within one word, list of bool."""
    return [is_part(token) for token in self.tokens]

  def spell(self, ids):
    """Returns the token of each id, the reserved ones too; a string, which is a token already, is kept."""
    return [i if isinstance(i, str) else self.tokens[i] for i in ids]

  @property
  def sha256(self):
    return hashlib.sha256(self._text() + (self.codes or "").encode()).hexdigest()

  def save(self, folder):
    """Writes `vocab.txt`, `target.json` and, if there are merges, `bpe.codes`."""
    _save_target(self, folder)
    atomic.write(os.path.join(folder, WORDS_FILE), self._text())
    if self.codes:
      atomic.write(os.path.join(folder, CODES_FILE), self.codes.encode())

  def _text(self):
    return "".join(f"{token}\n" for token in self.tokens).encode()


class Pieces:
  """A SentencePiece model, from its serialized bytes."""

  tokenized = takes_parts = False
  tokenization = "sentencepiece"

  def __init__(self, model, bleu_tokenize=language.DEFAULT):
    """Loads `model` (bytes); `bleu_tokenize` is sacrebleu's tokeniser for the target language.

    Raises:
      ValueError: if its reserved ids differ from those of `types`.
    """
    self._model, self.bleu_tokenize = model, bleu_tokenize
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

  def split(self, text):
    """Returns the tokens of a line of raw text as strings; unknown ones as they are in the text."""
    return self._processor.encode(text, out_type=str)

  def encode(self, text):
    """Returns the ids of a line of raw text, without EOS."""
    return self._processor.encode(text)

  def decode(self, ids):
    """Returns the raw text of ids up to the first EOS; some may be tokens, as in `spell`."""
    kept = _until_end(ids, self._skipped)
    return self._processor.decode(self.spell(kept) if any(isinstance(i, str) for i in kept) else kept)

  def plain(self, line):
    """Returns a line of text unchanged, as raw text has whole words."""
    return line

  def changes(self, line):
    """Whether the model's normalization changes a line, apart from white space."""
    made = self._processor.normalize(line).replace(SPACE, " ")
    return made.split() != line.split()

  def within_words(self):
    """Returns for each token whether two of it in a row are within one word, list of bool."""
    return [not token.startswith(SPACE) for token in self.spell(range(len(self)))]

  def spell(self, ids):
    """Returns the token of each id, the reserved ones too; a string, which is a token already, is kept."""
    return [i if isinstance(i, str) else self._processor.id_to_piece(int(i)) for i in ids]

  @property
  def sha256(self):
    return hashlib.sha256(self._model).hexdigest()

  def save(self, folder):
    """Writes `vocab.model` and `target.json`."""
    _save_target(self, folder)
    atomic.write(os.path.join(folder, PIECES_FILE), self._model)


def load(folder):
  """Returns the vocabulary of a data or run folder, `WordList` or `Pieces`.

  Raises:
    FileNotFoundError: if there is none.
  """
  path = lambda name: os.path.join(folder, name)
  # Folders of older versions have no target.json; the defaults then apply.
  told = json_file.read(path(TARGET_FILE)) if atomic.exists(path(TARGET_FILE)) else {}
  if atomic.exists(path(PIECES_FILE)):
    return Pieces(_read(path(PIECES_FILE)), **told)
  if not atomic.exists(path(WORDS_FILE)):
    raise FileNotFoundError(f"No {PIECES_FILE} or {WORDS_FILE} in {folder}: it is not a data or run folder. "
                            "Make a data folder with data_prep/prepare.py.")
  tokens = _text_of(path(WORDS_FILE)).removesuffix("\n").split("\n")
  codes = _text_of(path(CODES_FILE)) if atomic.exists(path(CODES_FILE)) else None
  try:
    return WordList(tokens, codes, **told)
  except ValueError as problem:
    raise ValueError(f"{folder}: {problem}") from None


def read_counts(path, minimum=5, mask=False):
  """Reads a list of `token count` lines, as subword-nmt get-vocab and the original NAT-EM program write it.

  Args:
    path: the file.
    minimum: tokens with a lower count are left out; the original program uses 5.
    mask: whether `<mask>` is added after the four reserved tokens of the original.

  Returns:
    A `WordList` in the order of the file.

  Raises:
    ValueError: for a line of another form.
  """
  reserved = types.SPECIALS[:5 if mask else 4]
  tokens = list(reserved)
  for number, line in enumerate(text.read(path), 1):
    token, _, count = line.rpartition(" ")
    if not token or " " in token or not count.isdecimal():
      raise ValueError(f"{path}:{number}: expected a token, a space and its count; got {line!r}.")
    if int(count) >= minimum and token not in reserved:
      tokens.append(token)
  return WordList(tokens)


def join(tokens):
  """Returns the text of tokens, joining the subwords that subword-nmt marked; `@@` alone is a word."""
  return "".join(map(surface, tokens)).removesuffix(" ")


def surface(token):
  """Returns what a token adds to a text: a word with the space after it, or a subword without its mark."""
  return token.removesuffix(MARK) if is_part(token) else f"{token} "


def is_part(token):
  """Whether a token of a list is a subword that the next token continues."""
  return token.endswith(MARK) and token != MARK


def bpe(codes, known=None):
  """Returns subword-nmt's segmenter for the text of a file of merges.

  Args:
    codes: the text.
    known: set of subwords that may result, others are split further; None: no restriction.
  """
  try:
    from subword_nmt import apply_bpe
  except ImportError as error:
    raise ImportError("BPE merges need subword-nmt: pip install subword-nmt.") from error
  return apply_bpe.BPE(io.StringIO(codes), vocab=known)


def _until_end(ids, skipped):
  kept = []
  for i in ids:
    if i == types.EOS:
      break
    if i not in skipped:
      kept.append(i if isinstance(i, str) else int(i))
  return kept


def _save_target(vocab, folder):
  told = json.dumps({"bleu_tokenize": vocab.bleu_tokenize})
  atomic.write(os.path.join(folder, TARGET_FILE), told.encode())


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
