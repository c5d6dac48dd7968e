"""Requests recorded from real SDKs, which live outside this repository.

`EXPURGATE_SHARED` names the folder that holds `captures/`; else it is looked
for in `../shared`. The scoring is the recordings' own `score.py`: what was
planted and how it may be written is known there.
"""

import base64
import gzip
import importlib.util
import json
import os
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import brotli
import zstandard

SHARED = Path(os.environ.get("EXPURGATE_SHARED") or Path(__file__).resolve().parents[3] / "shared")
FOLDER = SHARED / "captures"
SDKS = (
    "openai-py anthropic-py langfuse2-py posthog-py segment-py amplitude-py "
    "gemini-py mistral-py opik-py curl-cli langsmith-py langsmith-node sentry-py "
    "otlp-http-py otlp-http-node langfuse3-py mlflow-py ddtrace-py mixpanel-py elastic-apm-py"
).split()
# Of AWS: a body that is changed does not match its signature.
SIGNED = ["boto3-py"]
# Of gRPC, each a call with one message.
CALLS = ["otlp-grpc-py"]
ALL = [*SDKS, *SIGNED, *CALLS]
JSON, MULTIPART, ENVELOPE = "application/json", "multipart/form-data", "application/x-sentry-envelope"
FORM = "application/x-www-form-urlencoded"
OTHERS = (FORM, "application/x-protobuf", "application/msgpack", "application/x-ndjson", "text/plain")
CODINGS = ("", "identity", "gzip", "deflate", "zstd", "br")


@dataclass(frozen=True)
class Capture:
    """One recorded request, and what was planted in it."""

    name: str
    folder: Path
    number: str
    manifest: dict

    @property
    def sdk(self):
        return self.name.split("/")[0]

    @cached_property
    def request(self):
        return json.loads((self.folder / f"{self.number}.req").read_text())

    @cached_property
    def head(self):
        return base64.b64decode(self.request["head_b64"])

    @cached_property
    def wire(self):
        """The body as it was sent, chunk framing included."""
        return (self.folder / f"{self.number}.body").read_bytes()

    @cached_property
    def plain(self):
        path = self.folder / f"{self.number}.plain"
        return path.read_bytes() if path.exists() else self.wire

    def header(self, name):
        found = [value for key, value in self.request["headers"] if key.lower() == name]
        return found[0] if found else ""

    @property
    def media(self):
        return self.header("content-type").split(";")[0].strip().lower()

    @property
    def is_understood(self):
        """Whether the proxy redacts it; else it must be refused."""
        known = self.media in (JSON, MULTIPART, ENVELOPE, *OTHERS)
        return known and self.header("content-encoding").lower() in CODINGS

    @property
    def is_clean(self):
        return "clean" in self.manifest["variant"]

    @property
    def planted(self):
        return self.manifest["sensitive"]


@dataclass
class Score:
    """By category: how many values were planted, and those still there."""

    planted: dict
    leaked: dict
    damaged: list


def load(sdks=SDKS):
    """All captures of these SDKs; none when the folder is not there."""
    captures = []
    for sdk in sdks if FOLDER.is_dir() else ():
        manifest = json.loads((FOLDER / sdk / "manifest.json").read_text())["captures"]
        for number, entry in sorted(manifest.items()):
            # Of the longest only the size is on record.
            if (FOLDER / sdk / f"{number}.body").exists():
                captures.append(Capture(f"{sdk}/{number}", FOLDER / sdk, number, entry))
    return captures


def decode(body, coding):
    """The entity, by the Content-Encoding that it came with."""
    match coding.lower():
        case "" | "identity":
            return body
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
        case "br":
            return brotli.decompress(body)
    raise AssertionError(coding)


def category(item):
    """As in the manifest, with the phones told apart: one in international
    form says itself that it is a phone."""
    if item["category"] != "phone":
        return item["category"]
    return "phone" if item["value"].startswith(("+", "00")) else "phone_national"


def score(capture, redacted):
    """Judges the entity that the upstream got."""
    sensitive, benign = _scorer().truth(
        redacted,
        {"planted": capture.planted, "benign": capture.manifest["benign"]},
        b64=len(redacted) < 2e7,
        form=capture.media == FORM,
    )
    left = {found[2] for found in sensitive}
    counts = {}
    for found in benign:
        counts[found[2]] = counts.get(found[2], 0) + 1
    result = Score({}, {}, [])
    for item in capture.planted:
        kind = category(item)
        result.planted[kind] = result.planted.get(kind, 0) + 1
        if item["id"] in left:
            result.leaked.setdefault(kind, []).append(item)
    result.damaged = [
        item for item in capture.manifest["benign"] if counts.get(item["id"], 0) < item["n"]
    ]
    return result


def _scorer():
    spec = importlib.util.spec_from_file_location("captures_score", FOLDER / "score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
