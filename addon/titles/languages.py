"""Names of languages in release names, beside those that the general parser knows."""

import re

from addon.titles.name import Name

# Whole words, lower case. Short codes are left to the general parser, which knows their traps.
_WORDS = {
    "af": "afrikaans",
    "ar": "arabic",
    "be": "belarusian",
    "bg": "bulgarian bgaudio",
    "bn": "bengali",
    "bs": "bosnian",
    "ca": "catalan català",
    "cs": "czech",
    "cy": "welsh cymraeg",
    "da": "danish",
    "de": "german deutsch",
    "el": "greek",
    "en": "english",
    "es": "spanish castellano español espanol latino",
    "et": "estonian",
    "eu": "basque euskara",
    "fa": "persian farsi",
    "fi": "finnish",
    "fr": "french vostfr truefrench",
    "ga": "irish gaeilge",
    "gl": "galician galego",
    "gu": "gujarati",
    "he": "hebrew",
    "hi": "hindi",
    "hr": "croatian",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "is": "icelandic islenska",
    "it": "italian italiano",
    "ja": "japanese",
    "ka": "georgian",
    "kk": "kazakh",
    "km": "khmer",
    "kn": "kannada",
    "ko": "korean",
    "lt": "lithuanian",
    "lv": "latvian",
    "mk": "macedonian",
    "ml": "malayalam",
    "mn": "mongolian",
    "mr": "marathi",
    "ms": "malay",
    "mt": "maltese",
    "my": "burmese",
    "ne": "nepali",
    "nl": "dutch flemish",
    "no": "norwegian",
    "pa": "punjabi",
    "pl": "polish",
    "pt": "portuguese",
    "rm": "rumantsch romansh",
    "ro": "romanian",
    "ru": "russian",
    "si": "sinhala",
    "sk": "slovak",
    "sl": "slovenian",
    "sq": "albanian shqip",
    "sr": "serbian",
    "sv": "swedish",
    "sw": "swahili",
    "ta": "tamil",
    "te": "telugu",
    "th": "thai",
    "tl": "tagalog filipino",
    "tr": "turkish",
    "uk": "ukrainian",
    "ur": "urdu",
    "vi": "vietnamese",
    "zh": "chinese mandarin cantonese",
}
_CODE_OF = {word: code for code, words in _WORDS.items() for word in words.split()}
_ANY = re.compile(rf"(?<![^\W_])(?:{'|'.join(_CODE_OF)})(?![^\W_])", re.IGNORECASE)

CODES = frozenset(_WORDS)


def languages_in(text: str) -> set[str]:
    """Return the ISO 639-1 codes of all languages that are named in full."""
    # Ignoring case lets a dotless i through, which no word of the table has.
    return {_CODE_OF[word] for word in map(str.lower, _ANY.findall(text)) if word in _CODE_OF}


def read_languages(read: Name) -> tuple[str, ...]:
    """Join what parsett found with full names behind the title; names in the title do not count."""
    in_tail = languages_in(read.tail)
    said = {_LATINO.get(code, code) for code in read.said.get("languages", ())}
    is_split = read.tail and read.title.isascii()  # another script is a sign of its language
    only_in_title = languages_in(read.title) - in_tail if is_split else set()
    return tuple(sorted((said - only_in_title | in_tail) & CODES))


_LATINO = {"la": "es"}  # to parsett `la` is Latin American Spanish; in ISO 639-1 it is Latin
