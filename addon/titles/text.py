"""Names as text: without what no name should hold, and in the one form that is compared."""

import re
import unicodedata

_LETTERS = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "ı": "i",
        "&": " and ",
    }
)
_ARTICLES = frozenset({"the", "a", "an"})
_NOT_WORD = re.compile(r"[\W_]+")
_MARKS_IN_WORD = re.compile(r"(?<=\w)['’`´ʼ](?=\w)")
_INITIALS = re.compile(r"\b(?:[^\W\d_]\.){2,}(?:[^\W\d_]\b)?")


def clean(name: str) -> str:
    """Return a name in NFC with single spaces, without control, format and surrogate characters.

    Cleaning twice changes nothing more.
    """
    if name.isascii() and name.isprintable():
        return " ".join(name.split())
    kept = "".join(c if _is_text(c) else " " if c.isspace() else "" for c in name)
    return " ".join(unicodedata.normalize("NFC", kept).split())


def _is_text(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def normalise(text: str) -> str:
    """Return the form of a title that is compared: words of plain small letters and digits.

    Accents, punctuation and articles in front go; `&` becomes a word. Scripts other than Latin
    stay. Normalising twice changes nothing more.
    """
    text = _INITIALS.sub(lambda match: match[0].replace(".", "") + " ", text)
    text = _MARKS_IN_WORD.sub("", text)
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(c for c in folded if not unicodedata.combining(c)).translate(_LETTERS)
    words = _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", plain)).split()
    while len(words) > 1 and words[0] in _ARTICLES:
        del words[0]
    if len(words) > 1 and words[-1] == "the":  # "Harbour, The"
        del words[-1]
    return " ".join(words)
