"""Secrets that do not print, and the finder that keeps them out of logs, URLs and replies."""

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterator
from urllib.parse import quote, unquote

_SHORTEST_PASSING = 16  # a passing secret is a stranger's choice: it must not blot out words
_SHORTEST = 6  # shorter values would blot out ordinary words; no provider issues such keys
_DECODINGS = 3  # a URL in a query in a query; nobody nests deeper by mistake
_BLOT = "***"

# What looks like a credential though nobody told us of it. Each branch starts at a fixed word and
# no repetition holds another, so the time is linear in the text. A bare `name: value` is believed
# only when the value is long and has a digit: "invalid token: expected a UUID" stays readable.
_CREDENTIAL = re.compile(
    r"""
    (
        (?: token | (?:api|auth|pass|pool)[_-]?key | auth(?:orization)? | passw(?:or)?d | secret )
        (?:
            \\?["'] [ ]? : [ ]? b?\\?["']                  # "token": "x"
          | ["'] , [ ]? b["']                              # (b'authorization', b'x')
          | [ ]? (?: = | %3d ) [ ]? ["']? (?: (?: bearer | basic ) [ ]+ )?   # ?token=x
          | [ ]? : [ ]? (?: bearer | basic ) [ ]+          # authorization: Bearer x
          | [ ]? : [ ]? (?= [^\s"'<>,;&]{0,64}\d ) (?= [^\s"'<>,;&]{6} )
        )
      | x-api-key [ ]? : [ ]?
      | \b bearer [ ]+ (?= [^\s"'<>,;&]{0,64}\d )
    )
    (?! \*\*\* )                                           # a Secret that was printed
    (?: (?<=") [^"\\]+ | (?<=') [^'\\]+ | [^\s"'<>,;&\\]+ )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_COOKIES = re.compile(r"""(cookie ?: ?)[^\r\n"']+""", re.IGNORECASE)


class Secret:
    """A text that must not be seen: it prints as `***` and the start of its digest."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself; call it only where it is sent or compared."""
        return self._value

    @property
    def fingerprint(self) -> str:
        """Six hex digits that tell two secrets apart in a log."""
        return hashlib.sha256(self._bytes()).hexdigest()[:6]

    def _bytes(self) -> bytes:
        # An environment variable that is not UTF-8 has lone surrogates; an error would show them.
        return self._value.encode(errors="surrogatepass")

    def __repr__(self) -> str:
        return f"{_BLOT}{self.fingerprint}"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is not pickled")


class Redactor:
    """Knows the secrets that this process has loaded; finds them in texts and blots them out.

    A text is searched by looking up each of its windows of six characters among the beginnings of
    the secrets, so the time depends on the text and not on how many secrets there are.

    Lasting secrets are never forgotten. Of the others the last `size` are kept: anybody may send
    own tokens, and these must neither fill the memory nor push out the keys of the pool.
    """

    def __init__(self, size: int = 5_000) -> None:
        self._size = size
        self._lasting: set[str] = set()
        self._passing: OrderedDict[str, None] = OrderedDict()
        # Tuples are replaced, never changed: another thread may be cleaning a log line.
        self._by_start: dict[str, tuple[str, ...]] = {}

    def learn(self, secret: Secret, *, lasting: bool = False) -> Secret:
        """Remember a secret and return it; `lasting` is for what the operator owns."""
        value = secret.reveal()
        if len(value) < (_SHORTEST if lasting else _SHORTEST_PASSING) or value in self._lasting:
            return secret
        if value not in self._passing:
            for form in _forms(value):
                self._by_start[form[:_SHORTEST]] = (*self._starting_like(form), form)
        if lasting:
            self._lasting |= _forms(value)
            self._passing.pop(value, None)
            return secret
        self._passing[value] = None
        self._passing.move_to_end(value)
        if len(self._passing) > self._size:
            self._forget(self._passing.popitem(last=False)[0])
        return secret

    def found_in(self, text: str) -> bool:
        """Tell whether a lasting secret stands in the text, plainly or percent-encoded.

        Passing ones do not count: anybody could choose a token that stands in everybody's links.
        """
        return any(text[start:end] in self._lasting for text, start, end in self._found(text))

    def _found(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Yield where any secret stands, in the text and in what it decodes to."""
        for _ in range(_DECODINGS + 1):
            yield from ((text, start, end) for start, end in self._spans(text))
            if "%" not in text:
                return
            text = unquote(text)

    def clean(self, text: str) -> str:
        """Return the text with loaded secrets, and whatever looks like a credential, as `***`.

        A secret in an unusual percent-encoding costs the text its encoding.
        """
        text = self._blot_out(text)
        if "%" in text and any(self._found(text)):
            text = self._blot_out_decoded(text)
        return _COOKIES.sub(rf"\1{_BLOT}", _CREDENTIAL.sub(rf"\1{_BLOT}", text))

    def _starting_like(self, form: str) -> tuple[str, ...]:
        return self._by_start.get(form[:_SHORTEST], ())

    def _forget(self, value: str) -> None:
        for form in _forms(value):
            others = tuple(other for other in self._starting_like(form) if other != form)
            if others:
                self._by_start[form[:_SHORTEST]] = others
            else:
                del self._by_start[form[:_SHORTEST]]

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Return where secrets stand, ordered by their beginning; they may overlap."""
        known = self._by_start
        starts = [
            at for at in range(len(text) - _SHORTEST + 1) if text[at : at + _SHORTEST] in known
        ]
        return [
            (at, at + len(value))
            for at in starts
            for value in known.get(text[at : at + _SHORTEST], ())
            if text.startswith(value, at)
        ]

    def _blot_out(self, text: str) -> str:
        """Replace each run of overlapping secrets as a whole, so that no tail of one is left."""
        parts: list[str] = []
        done = 0
        for start, end in self._spans(text):
            if start >= done:
                parts += (text[done:start], _BLOT)
            done = max(done, end)
        return "".join((*parts, text[done:]))

    def _blot_out_decoded(self, text: str) -> str:
        for _ in range(_DECODINGS):
            text = self._blot_out(unquote(text))
        return text


def _forms(value: str) -> set[str]:
    """Return a secret as it is and as it stands in a URL, where that differs."""
    return {value, quote(value, safe="", errors="surrogatepass")}
