"""Pseudonyms of several processes, as replicas and sidecars have them: one value, one
pseudonym, while all have one key, and while a key is rotated."""

import hashlib
import hmac
import json
import random
from contextlib import ExitStack

import pytest

import wire
from proxy import Proxy
from sink import Sink

PERSON = "someone@corp-mail.example"
OTHER = "another.one@corp-mail.example"
PHONE = "+4930901820"
OLD, NEW = ("00112233445566778899aabbccddeeff" * 2, "ffeeddccbbaa99887766554433221100" * 2)


def pseudonym(entity, value, name, key):
    digest = hmac.new(bytes.fromhex(key), value.encode(), hashlib.sha256).hexdigest()
    return f"[{entity}:{name}:{digest[:16]}]"


def config(folder, keys, active, policy='default = "hash"'):
    """A configuration with these keys, each in a file."""
    folder.mkdir()
    lines = ["[hash]", f'active = "{active}"', "[hash.keys]"]
    for name, key in keys.items():
        path = folder / f"{name}.key"
        path.touch(0o600)
        path.write_text(f"hex:{key}\n")
        lines.append(f'{name} = "{path}"')
    return "\n".join([*lines, "[[route]]", "[route.policy]", policy, ""])


class Replicas:
    """Processes with a sink each, by name."""

    def __init__(self, folder, **configs):
        self._folder, self._configs, self._stack = folder, configs, ExitStack()
        self._pairs = {}

    def __enter__(self):
        with ExitStack() as stack:
            for name, config in self._configs.items():
                sink = stack.enter_context(Sink())
                proxy = stack.enter_context(Proxy(sink.url, self._folder, config))
                proxy.planted |= {PERSON, OTHER, PHONE, OLD, NEW}
                self._pairs[name] = (proxy, sink)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def send(self, name, body):
        """What the upstream of one gets of a body."""
        proxy, sink = self._pairs[name]
        assert wire.post(proxy.address, body).status == 200
        return bytes(sink.requests[-1].body)


def test_two_processes_with_one_key_write_the_same_for_a_value_whatever_it_stands_in(tmp_path):
    values = [("EMAIL_ADDRESS", PERSON), ("EMAIL_ADDRESS", OTHER), ("PHONE_NUMBER", PHONE)]
    random.Random(7).shuffle(values)
    expected = [pseudonym(*each, "k1", OLD) for each in values]
    plain = json.dumps({"a": [value for _, value in values]}).encode()
    nested = json.dumps({"a": json.dumps([value.replace("@", "\\u0040") for _, value in values])}).encode()
    one, other = (config(tmp_path / name, {"k1": OLD}, "k1") for name in ("one", "other"))
    with Replicas(tmp_path, one=one, other=other) as replicas:
        for name in ("one", "other"):
            assert json.loads(replicas.send(name, plain)) == {"a": expected}
            assert json.loads(json.loads(replicas.send(name, nested))["a"]) == expected
        # What one has written the other leaves alone.
        written = replicas.send("one", plain)
        assert replicas.send("other", written) == written


def test_processes_with_different_keys_of_one_name_do_not_agree(tmp_path):
    body = json.dumps({"a": PERSON}).encode()
    configs = {name: config(tmp_path / name, {"k1": key}, "k1") for name, key in (("one", OLD), ("other", NEW))}
    with Replicas(tmp_path, **configs) as replicas:
        assert replicas.send("one", body) != replicas.send("other", body)


@pytest.mark.parametrize("policy", ['default = "hash"', 'default = "hash"\nPHONE_NUMBER = { action = "hash", key = "k1" }'])
def test_a_key_is_rotated_while_replicas_of_before_and_after_run(tmp_path, policy):
    """First the new key is added everywhere, then it is made active: replica by replica."""
    body = json.dumps({"mail": PERSON, "phone": PHONE}).encode()
    both = {"k1": OLD, "k2": NEW}
    configs = {
        "before": config(tmp_path / "before", {"k1": OLD}, "k1"),
        "added": config(tmp_path / "added", both, "k1"),
        "active": config(tmp_path / "active", both, "k2", policy),
    }
    of_old = {"mail": pseudonym("EMAIL_ADDRESS", PERSON, "k1", OLD), "phone": pseudonym("PHONE_NUMBER", PHONE, "k1", OLD)}
    of_new = {"mail": pseudonym("EMAIL_ADDRESS", PERSON, "k2", NEW), "phone": pseudonym("PHONE_NUMBER", PHONE, "k2", NEW)}
    if "PHONE_NUMBER" in policy:
        of_new["phone"] = of_old["phone"]
    with Replicas(tmp_path, **configs) as replicas:
        assert json.loads(replicas.send("before", body)) == of_old
        assert json.loads(replicas.send("added", body)) == of_old
        assert json.loads(replicas.send("active", body)) == of_new
        # What was written under either key passes all of them as it is.
        for written in (of_old, of_new):
            for name in configs:
                again = json.dumps(written).encode()
                assert replicas.send(name, again) == again
