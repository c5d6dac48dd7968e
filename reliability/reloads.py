"""Rules, configurations and certificates that change under load, and nobody notices.

Each reload is waited for: rules by the metric that names them, a configuration by the
one that counts it, a certificate by a handshake that shows it.
"""

import asyncio
import contextlib
import hashlib
import signal
import ssl
import tempfile
import time
from pathlib import Path

import client
import load
from certificates import Authority
from claim import Claim
from proxy import Proxy
from upstream import Upstream

PATIENCE = 120
RULE = """
[[rule]]
id = "own.ticket"
entity = "TICKET"
category = "pii"
description = "tickets of round {number}"
pattern = '''\\bTICKET-{number:05}-[0-9]{{6}}\\b'''
examples = ["TICKET-{number:05}-123456"]
negative_examples = ["TICKET-{number:05}"]
"""
# How many certificates take turns.
PAIRS = 10
# Requests that end between two rotations, at least.
BETWEEN = 10


def measure(own=980, builtin=20, certificates=100, configurations=300):
    """So many reloads of own rules alone, of all, of certificates, and of configurations."""
    return asyncio.run(_measure(own, builtin, certificates, configurations))


async def _measure(own, builtin, certificates, configurations):
    with tempfile.TemporaryDirectory(prefix="expurgate-reload-") as folder:
        folder = Path(folder)
        return [
            await _rules(folder, builtin, True),
            await _rules(folder, own, False),
            await _configurations(folder, configurations),
            await _certificates(folder, certificates),
        ]


@contextlib.asynccontextmanager
async def _under_load(proxy, **options):
    clients = load.Load(proxy.address, clients=4, pause=0.02, **options)
    running = asyncio.ensure_future(clients.run())
    try:
        yield clients
    finally:
        clients.stop()
        await running


async def _until(holds, what):
    end = time.monotonic() + PATIENCE
    while not await holds():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {PATIENCE} s")
        await asyncio.sleep(0.01)  # the interval of a poll with a deadline


async def _rules(folder, times, builtin):
    path = folder / "rules.toml"
    path.write_text(RULE.format(number=0))
    config = f'[rules]\nbuiltin = {str(builtin).lower()}\npaths = ["{path}"]\n'
    async with Upstream(keep=True) as upstream:
        with Proxy(upstream.url, folder, config, {"EXPURGATE_LOG": "warn"}) as proxy:
            resident = [proxy.resident_memory()]
            async with _under_load(proxy) as clients:
                started, link, wrong = time.monotonic(), client.Link(proxy.address), 0
                for number in range(1, times + 1):
                    await reload(proxy, path, number)
                    # The new rule is in force, and it alone.
                    upstream.forget()
                    body = f"TICKET-{number:05}-123456 TICKET-{number - 1:05}-123456".encode()
                    await link.ask([client.head("own", length=len(body), media="text/plain") + body])
                    arrived = b"\0".join(bytes(each.body) for each in upstream.seen)
                    wrong += b"[TICKET] TICKET-%05d-123456" % (number - 1) not in arrived
                link.close()
                seconds = time.monotonic() - started
            resident.append(proxy.resident_memory())
            refused = proxy.metric("expurgate_ruleset_reloads_total", outcome="failure")
    failed = [each for each in clients.ended if not each.answer.good]
    twice = sum(count > 1 for number, count in upstream.heads.items() if number != b"own")
    return Claim(
        f"{times:,} reloads of {'all built-in rules' if builtin else 'own rules'} under load: failed requests",
        "0",
        f"{len(failed)} of {len(clients.ended):,} in {seconds:.0f} s; {wrong} reloads not in force at once, {refused:.0f} refused; "
        f"{twice} requests came twice; {resident[0] >> 20} MiB resident before, {resident[1] >> 20} after",
        not failed and not wrong and not twice and not refused and len(clients.ended) > 0,
    )


async def reload(proxy, path, number):
    """Writes the rules of this number, and waits until they are in use."""
    before = await _ruleset(proxy)
    path.write_text(RULE.format(number=number))
    proxy.send_signal(signal.SIGHUP)

    async def changed():
        return await _ruleset(proxy) != before

    await _until(changed, f"reload {number}")


async def _ruleset(proxy):
    """The rules in use, as the metrics name them."""
    text = await asyncio.to_thread(proxy.metrics)
    return next(line for line in text.splitlines() if line.startswith("expurgate_ruleset_info"))


# What is done with a ticket, and what is left of it.
POLICIES = {"replace": b"[TICKET]", "remove": b"", "report": b"TICKET-00000-123456"}


def _configuration(number, rules, upstream):
    """The configuration of this number: routes come and go, and the upstream of every
    second one has to be connected to anew."""
    policy = list(POLICIES)[number % len(POLICIES)]
    route = '[[route]]\nname = "{}"\npath = "{}"\nupstream = "' + upstream + '"\npolicy.default = "' + policy + '"\n'
    routes = route.format("default", "/") + (route.format(f"own{number}", "/own") if number % 3 else "")
    limits = f"[limits]\nmax_requests = {1000 + number}\n[timeouts]\nconnect = \"{4 + number // 2 % 2}s\"\n"
    return f'[rules]\nbuiltin = false\npaths = ["{rules}"]\n{limits}{routes}', POLICIES[policy]


async def _configurations(folder, times):
    rules = folder / "ticket.toml"
    rules.write_text(RULE.format(number=0))
    body = b"TICKET-00000-123456"
    async with Upstream(keep=True) as upstream:
        first, _ = _configuration(0, rules, upstream.url)
        with Proxy(None, folder, first, {"EXPURGATE_LOG": "warn"}) as proxy:
            resident = [proxy.resident_memory()]
            async with _under_load(proxy) as clients:
                started, link, wrong = time.monotonic(), client.Link(proxy.address), 0
                for number in range(1, times + 1):
                    text, left = _configuration(number, rules, upstream.url)
                    proxy.config.write_text(text)
                    proxy.send_signal(signal.SIGHUP)

                    async def counted():
                        return await asyncio.to_thread(proxy.metric, "expurgate_config_reloads_total", outcome="success") >= number

                    await _until(counted, f"configuration {number}")
                    upstream.forget()
                    await link.ask([client.head("own", length=len(body), media="text/plain") + body])
                    wrong += [left] != [bytes(each.body) for each in upstream.seen if each.headers.get(b"x-number") == b"own"]
                link.close()
                seconds = time.monotonic() - started
            resident.append(proxy.resident_memory())
            refused = proxy.metric("expurgate_config_reloads_total", outcome="failure")
    failed = [each for each in clients.ended if not each.answer.good]
    return Claim(
        f"{times:,} reloads of the configuration under load: failed requests",
        "0",
        f"{len(failed)} of {len(clients.ended):,} in {seconds:.0f} s; {wrong} reloads not in force at once, {refused:.0f} refused; "
        f"{resident[0] >> 20} MiB resident before, {resident[1] >> 20} after",
        not failed and not wrong and not refused and len(clients.ended) > 0,
    )


async def _certificates(folder, times):
    authority = Authority(folder)
    pairs = [authority.issue(f"proxy{each}") for each in range(PAIRS)]
    cert, key = folder / "tls.crt", folder / "tls.key"
    config = f'[listener.tls]\ncert = "{cert}"\nkey = "{key}"\n'

    def put(number):
        for path, source in zip((cert, key), pairs[number % PAIRS]):
            path.write_bytes(source.read_bytes())
        text = cert.read_text()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).digest()

    put(0)
    context = ssl.create_default_context(cafile=authority.cert)
    async with Upstream() as upstream:
        with Proxy(upstream.url, folder, config, {"EXPURGATE_LOG": "error"}) as proxy:
            async with _under_load(proxy, tls=context) as clients:
                started = time.monotonic()
                for number in range(1, times + 1):
                    wanted = put(number)
                    proxy.send_signal(signal.SIGHUP)

                    async def shown():
                        link = client.Link(proxy.address, tls=context)
                        await link.open()
                        certificate = hashlib.sha256(link.peer_certificate).digest()
                        link.close()
                        return certificate == wanted

                    await _until(shown, f"certificate {number}")
                    enough = len(clients.ended) + BETWEEN

                    async def used():
                        return len(clients.ended) >= enough

                    await _until(used, f"{BETWEEN} requests after certificate {number}")
                seconds = time.monotonic() - started
            handshakes = proxy.metric("expurgate_tls_handshakes_total", outcome="success")
    failed = [each for each in clients.ended if not each.answer.good]
    return Claim(
        f"{times} rotations of the listener's certificate under load: failed requests",
        "0",
        f"{len(failed)} of {len(clients.ended):,}, {handshakes:,.0f} handshakes in {seconds:.0f} s, each new certificate shown",
        not failed and len(clients.ended) >= BETWEEN * times,
    )
