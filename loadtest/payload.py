"""Bodies for load: agent traces as JSON, one finding in 15 KB.

Seeded, so that every run sends the same bytes. All values are synthetic.
"""

import json
import random
import uuid

BYTES_PER_FINDING = 15_000
# A span's length without its texts, about.
FRAME = 420
WORDS = (
    "the agent read a page of the list and wrote down what changed since the last run then it asked "
    "for the next tool call with the same arguments because the service answered late and the plan said to retry"
).split()


def bodies(size, count, seed=1):
    """`count` bodies of about `size` bytes, none with a line feed."""
    traces = Traces(f"{seed} {size}")
    return [traces.body(size) for _ in range(count)]


class Traces:
    """Writes spans as tracing SDKs do, and an e-mail address when one is due."""

    def __init__(self, seed):
        self._rng = random.Random(seed)
        # Bytes since the last finding, over all bodies.
        self._since_finding = 0

    def body(self, size):
        """One batch of spans."""
        spans = []
        length = 20
        while not spans or length < size:
            # The last span is cut so that the body comes close to its size.
            spans.append(json.dumps(self._span(min(1500, max(0, size - length - FRAME)))))
            length += len(spans[-1]) + 2
            self._since_finding += len(spans[-1])
        return '{"batch": [' + ", ".join(spans) + "]}"

    def _span(self, text_size):
        """Ids, times, a message, tool arguments as JSON in a string."""
        rng = self._rng
        text = self._prose(text_size * 2 // 3)
        arguments = {"query": self._prose(text_size // 3), "limit": rng.randrange(50), "tags": ["a", "b"]}
        if self._since_finding >= BYTES_PER_FINDING:
            self._since_finding -= BYTES_PER_FINDING
            text += f"\nReply to user{rng.randrange(10**5)}@corp-mail.example today."
        return {
            "trace_id": rng.randbytes(16).hex(),
            "id": str(uuid.UUID(bytes=rng.randbytes(16), version=4)),
            "start_time": f"2026-11-21T07:30:{rng.randrange(60):02}.{rng.randrange(10**6):06}+00:00",
            "name": rng.choice(["llm.chat", "tool.search", "retriever.query"]),
            "model": "gpt-4o-2024-08-06",
            "usage": {"input_tokens": rng.randrange(4000), "output_tokens": rng.randrange(900)},
            "input": {"role": "user", "content": text},
            "tool_calls": [{"function": {"name": "search", "arguments": json.dumps(arguments)}}],
        }

    def _prose(self, size):
        """Words with the escapes that real messages hold."""
        rng = self._rng
        words, length = [], 0
        while length < size:
            escaped = rng.random() < 0.06
            word = rng.choice(['"done"', "step\n", "C:\\logs", "n\u00e4chste"]) if escaped else rng.choice(WORDS)
            words.append(word)
            length += len(word) + 1
        return " ".join(words)
