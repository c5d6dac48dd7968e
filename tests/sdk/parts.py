"""Takes bodies made of parts apart, as the upstreams do: with their lengths."""

import json
import re


def multipart(body, content_type):
    """(head, content) of each part; a length that a head declares is checked
    by `declared`."""
    boundary = re.search(r'boundary="?([^";]+)', content_type).group(1).encode()
    first, *parts, last = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert first == b"" and last in (b"--", b"--\r\n"), "the framing is broken"
    heads = (part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in parts)
    return [(head, content) for head, _, content in heads]


def declared(head):
    """The length that a part's head declares, if it does."""
    found = re.search(rb"(?i)(?:^content-length: |; length=)(\d+)", head, re.MULTILINE)
    return int(found.group(1)) if found else None


def envelope(body):
    """(header, payload) of each item, behind the envelope's own header."""
    header, _, rest = body.partition(b"\n")
    items = [(json.loads(header), b"")]
    while rest:
        line, _, rest = rest.partition(b"\n")
        header = json.loads(line)
        length = header.get("length")
        if length is None:
            payload, _, rest = rest.partition(b"\n")
        else:
            payload, end, rest = rest[:length], rest[length : length + 1], rest[length + 1 :]
            assert len(payload) == length and end in (b"", b"\n"), "the length is wrong"
        items.append((header, payload))
    return items
