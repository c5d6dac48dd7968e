"""Canaries, each planted once, and the search for them.

Every canary holds a mark that stands nowhere else, near both of its ends where
it has room, with its number between: so one search for a handful of marks finds
any canary, a part of one too, and tells which it is. All values are made up.
"""

import base64
import binascii
import re
import string
import urllib.parse
import zlib
from dataclasses import dataclass

import brotli
import zstandard

HEAD, TAIL = "xqzjvk", "kvjzqx"
# German mobile numbers of which six digits are the canary's own.
PHONE = "+4915177"
BASE32 = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class Canary:
    """`allowed` says that the upstream's heads may hold it: a path does not change."""

    text: str
    place: str
    case: str
    allowed: bool = False


class Canaries:
    """Issues canaries, and knows those it has issued."""

    def __init__(self):
        self._issued = {}
        self._count = 0
        # What those issued from now on are part of.
        self.case = ""

    def __len__(self):
        return len(self._issued)

    def __iter__(self):
        return iter(self._issued.values())

    def _issue(self, key, text, place, allowed=False):
        self._issued[key] = Canary(text, place, self.case, allowed)
        return text

    def _letters(self, alphabet=string.ascii_lowercase, length=5):
        self._count += 1
        number, letters = self._count, ""
        for _ in range(length):
            number, digit = divmod(number, len(alphabet))
            letters += alphabet[digit]
        return letters

    def email(self, place):
        own = self._letters()
        return self._issue(own, f"{HEAD}{own}@{TAIL}{own}.example", place)

    def password(self, place):
        """Nothing but its name, or its place in a URL, tells what it is."""
        own = self._letters()
        return self._issue(own, f"{HEAD}-{own}-{TAIL}", place)

    def key(self, place):
        own = self._letters(BASE32, 4)
        return self._issue(own, f"AKIA{HEAD.upper()}{own}{TAIL.upper()}", place)

    def phone(self, place):
        self._count += 1
        own = f"{self._count % 1_000_000:06}"
        return self._issue(own, PHONE + own, place)

    def in_path(self):
        own = self._letters()
        return self._issue(own, f"{HEAD}{own}@{TAIL}{own}.example", "path", allowed=True)

    def look_up(self, own):
        return self._issued.get(own)


def _base64_parts(mark):
    """What stays of a mark in base64, at each of the three offsets in it."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + mark + b"\0\0\0")
        first, last = -(-8 * offset // 6), 8 * (offset + len(mark)) // 6
        for part in {encoded[first:last], encoded[first:last].translate(bytes.maketrans(b"+/", b"-_"))}:
            yield part


WORDS = [each.encode() for mark in (HEAD, TAIL) for each in (mark, mark.upper())]
HEX = sorted({binascii.hexlify(mark) for mark in [*WORDS, PHONE.encode()]})
BASE64 = sorted({part for mark in [*WORDS, PHONE.encode()] for part in _base64_parts(mark)})
# A mark, and the canary's own letters behind or before it. Who leaks a part leaks these.
NAMED = [
    re.compile(rb"(?i)xqzjvk-?([a-z2-7]{4,5})?"),
    re.compile(rb"(?i)(?:([a-z2-7]{4,5})-?)?kvjzqx([a-z]{5})?"),
]
# With what people put between digits.
NUMBER = re.compile(rb"49[ ().-]{0,2}151[ ().-]{0,2}77[ .-]?((?:[0-9][ .-]?){6})")


@dataclass(frozen=True)
class Hit:
    """A canary, or a mark whose canary is not known, in some form at some place."""

    form: str
    where: str
    canary: Canary | None
    around: bytes

    def describe(self):
        told = f"{self.canary.place}; {self.canary.case}" if self.canary else "a part of one"
        return f"{self.where}, {self.form}: {told}"


def decodings(data):
    """(form, bytes): the data as it is, and without the escapes of URLs and JSON."""
    yield "raw", data
    if b"%" in data:
        yield "URL-encoded", urllib.parse.unquote_to_bytes(data)
    if b"\\u00" in data or b"\\x" in data:
        plain = re.sub(rb"\\(?:u00|x)([0-9a-fA-F]{2})", lambda escape: bytes([int(escape[1], 16)]), data)
        yield "escaped", plain


def search(canaries, data, where):
    """All hits in the data, in every form but compressed ones; parts count."""
    for form, text in decodings(data):
        lower = text.lower()
        if HEAD.encode() in lower or TAIL.encode() in lower:
            for pattern in NAMED:
                for match in pattern.finditer(text):
                    yield from _judged(canaries, match, form, where, text)
        for match in NUMBER.finditer(text):
            own = re.sub(rb"[^0-9]", b"", match[1]).decode()
            if canary := canaries.look_up(own):
                yield Hit(form, where, canary, _around(text, match))
    lower = data.lower()
    for forms, form, text in ((HEX, "hex", lower), (BASE64, "base64", data)):
        for mark in forms:
            at = text.find(mark)
            if at >= 0:
                yield Hit(form, where, None, text[max(0, at - 60) : at + 80])


def _judged(canaries, match, form, where, text):
    own = next((each for each in match.groups() if each), b"").decode()
    found = [canary for each in (own, own.lower(), own.upper(), own[:4]) if (canary := canaries.look_up(each))]
    yield Hit(form, where, found[0] if found else None, _around(text, match))


def search_whole(canaries, data, where):
    """The hits in what was damaged on purpose: a part of a value is none there, nor one
    that is glued to something."""
    told = set()
    for form, text in decodings(data):
        for hit in search(canaries, text, where):
            if hit.canary and hit.canary not in told:
                if re.search(rb"(?<![\w.+@-])" + re.escape(hit.canary.text.encode()) + rb"(?![\w.@-])", text):
                    told.add(hit.canary)
                    yield Hit(form, where, hit.canary, hit.around)


def _around(text, match):
    return text[max(0, match.start() - 60) : match.end() + 80]


def decompressed(body, coding):
    """What a body holds in a coding, up to where it is cut or broken."""
    if coding in (b"gzip", b"deflate"):
        for bits in (47, -15):
            plain, rest = b"", bytes(body)
            while rest:
                decoder = zlib.decompressobj(bits)
                try:
                    plain += decoder.decompress(rest)
                except zlib.error:
                    # Bytewise, since all of a piece is lost with its error.
                    plain += _bytewise(zlib.decompressobj(bits).decompress, rest, zlib.error)
                    break
                rest = decoder.unused_data
            if plain:
                return plain
        return b""
    if coding == b"zstd":
        return _bytewise(zstandard.ZstdDecompressor().decompressobj().decompress, body, zstandard.ZstdError, EOFError)
    if coding == b"br":
        return _bytewise(brotli.Decompressor().process, body, brotli.error)
    return b""


def _bytewise(decode, body, *errors, step=64):
    plain = b""
    try:
        for at in range(0, len(body), step):
            plain += decode(bytes(body[at : at + step]))
    except errors:
        pass
    return plain
