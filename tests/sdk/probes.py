"""Requests as raw bytes, odd ones and ambiguous ones, and what has to become of each."""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: upstream.test\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: upstream.test\r\n\r\n"
CL, TE = b"Content-Length: 5", b"Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"
HELLO = b"5\r\nhello\r\n" + LAST
# The transfer's coding ends with chunks, and so says where the body ends, but not what it is.
CODED = (
    *("gzip, then chunked", "gzip and chunked in two lines", "chunked twice", "chunked twice in two lines"),
    "identity, and chunked in another line",
)


def post(*lines, body=b"", line=b"POST /probe HTTP/1.1", host=b"Host: upstream.test"):
    head = [line, *([host] if host else []), b"Content-Type: text/plain", *lines]
    return b"".join(each + b"\r\n" for each in head) + b"\r\n" + body


def get(line, *lines, host=b"Host: upstream.test"):
    return b"".join(each + b"\r\n" for each in [line, *([host] if host else []), *lines]) + b"\r\n"


def chunks(body, *lines):
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


def broken_chunks():
    """Name to the bytes of a request in chunks that are none."""
    return {
        "a chunk whose size is too large": chunks(b"FFFFFFFFFFFFFFFF0\r\nhello\r\n" + LAST),
        "a chunk whose size wraps to another": chunks(b"10000000000000005\r\nhello\r\n" + LAST),
        "a chunk of negative size": chunks(b"-5\r\nhello\r\n" + LAST),
        "a chunk whose size has a plus": chunks(b"+5\r\nhello\r\n" + LAST),
        "a chunk whose size has a prefix": chunks(b"0x5\r\nhello\r\n" + LAST),
        "a chunk whose size has an underscore": chunks(b"0_5\r\nhello\r\n" + LAST),
        "a chunk without a size": chunks(b"\r\nhello\r\n" + LAST),
        "a space before a chunk's size": chunks(b" 5\r\nhello\r\n" + LAST),
        "a chunk's size in two words": chunks(b"0 5\r\nhello\r\n" + LAST),
        "a chunk without its end": chunks(b"5\r\nhello" + LAST),
        "a chunk that is longer than it says": chunks(b"5\r\nhello, world\r\n" + LAST),
        "a chunk that ends with a bare LF": chunks(b"5\r\nhello\n" + LAST),
        "a chunk that ends with other bytes": chunks(b"5\r\nhelloXX" + LAST),
        "a chunk's size that ends with a bare LF": chunks(b"5\nhello\r\n" + LAST),
        "a chunk's size that ends with a bare CR": chunks(b"5\rhello\r\n" + LAST),
        "an extension with a bare CR": chunks(b"5;a\rb\r\nhello\r\n" + LAST),
        "an extension with a bare LF": chunks(b"5;a\nhello\r\n" + LAST),
        "an extension with a bare LF, and all that hyper wants behind it": chunks(
            b"5;a\nhello\r\n" + LAST + b"\r\n" + LAST + SMUGGLED
        ),
        "an extension of 64 KiB": chunks(b"5;" + b"a" * 65536 + b"\r\nhello\r\n" + LAST),
        "a last chunk that ends with a bare LF": chunks(b"5\r\nhello\r\n0\n\n"),
        "trailers that begin with a bare LF": chunks(b"5\r\nhello\r\n0\r\n\n" + NEXT),
        "a trailer with a bare LF behind it": chunks(b"5\r\nhello\r\n0\r\nX-A: 1\n\r\n" + NEXT),
        "an empty line that is a bare LF behind a trailer": chunks(b"5\r\nhello\r\n0\r\nX-A: 1\r\n\n" + NEXT),
        "whitespace behind a chunk's size": chunks(b"5 \t\r\nhello\r\n" + LAST),
        "an extension without a name": chunks(b"5;\r\nhello\r\n" + LAST),
        "an extension whose name is none": chunks(b"5;a,b\r\nhello\r\n" + LAST),
        "trailers that are none": chunks(b"5\r\nhello\r\n0\r\nno trailer\r\n\r\n"),
        "a folded trailer": chunks(b"5\r\nhello\r\n0\r\nX-A: 1\r\n 2\r\n\r\n"),
        "trailers beyond all bounds": chunks(b"0\r\n" + b"X-A: 1\r\n" * 10_000 + b"\r\n"),
    }


def refused():
    """Name to the bytes, and the status; all of them 400 but for a few."""
    length = {
        "lengths that differ": post(CL, b"Content-Length: 6", body=b"hello!"),
        "lengths that differ in one line": post(b"Content-Length: 5, 6", body=b"hello!"),
        "a length with a plus": post(b"Content-Length: +5", body=b"hello"),
        "a negative length": post(b"Content-Length: -5", body=b"hello"),
        "a length of minus zero": post(b"Content-Length: -0"),
        "a length with a space in it": post(b"Content-Length: 1 0", body=b"hellohello"),
        "a length with an underscore": post(b"Content-Length: 1_0", body=b"hellohello"),
        "a hexadecimal length": post(b"Content-Length: 0x5", body=b"hello"),
        "a length that is no number": post(b"Content-Length: five", body=b"hello"),
        "an empty length": post(b"Content-Length:", body=b"hello"),
        "a length with a fraction": post(b"Content-Length: 5.0", body=b"hello"),
        "a length in digits of another script": post("Content-Length: \u0665".encode(), body=b"hello"),
        "a length beyond 64 bits": post(b"Content-Length: 18446744073709551621", body=b"hello"),
        "a length behind a form feed": post(b"Content-Length: \x0c5", body=b"hello"),
        "a space before the colon of a length": post(b"Content-Length : 5", body=b"hello"),
        "a length twice, once with a space before the colon": post(CL, b"Content-Length : 0", body=b"hello"),
        "a length in a folded line": post(b"Content-Length:", b" 5", body=b"hello"),
        "a length with an underscore in its name": post(CL, b"Content_Length: 0", body=b"hello"),
    }
    coding = {
        "a length beside chunks": post(CL, TE, body=HELLO + SMUGGLED),
        "chunks beside a length": post(TE, CL, body=HELLO + SMUGGLED),
        "a request in what the length leaves": post(b"Content-Length: 4", TE, body=LAST + SMUGGLED),
        "gzip, then chunked": post(b"Transfer-Encoding: gzip, chunked", body=LAST),
        "chunked, then gzip": post(b"Transfer-Encoding: chunked, gzip", body=LAST),
        "gzip and chunked in two lines": post(b"Transfer-Encoding: gzip", TE, body=LAST),
        "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=LAST),
        "chunked twice in two lines": post(TE, TE, body=LAST),
        "chunked, and identity in another line": post(TE, b"Transfer-Encoding: identity", CL, body=LAST),
        "identity, and chunked in another line": post(b"Transfer-Encoding: identity", TE, body=LAST),
        "identity": post(b"Transfer-Encoding: identity", CL, body=b"hello"),
        "gzip alone": post(b"Transfer-Encoding: gzip", body=b"hello"),
        "an unknown coding": post(b"Transfer-Encoding: xchunked", CL, body=b"hello"),
        "no coding": post(b"Transfer-Encoding:", CL, body=b"hello"),
        "a coding with parameters": post(b"Transfer-Encoding: chunked;q=1", CL, body=b"hello"),
        "a quoted coding": post(b'Transfer-Encoding: "chunked"', CL, body=b"hello"),
        "a coding behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked", CL, body=b"hello"),
        "a coding behind a form feed": post(b"Transfer-Encoding: \x0cchunked", CL, body=b"hello"),
        "a coding with a NUL behind it": post(b"Transfer-Encoding: chunked\0", CL, body=b"hello"),
        "a coding behind a bare CR": post(b"Transfer-Encoding:\rchunked", CL, body=b"hello"),
        "a coding in a folded line": post(b"Transfer-Encoding:", b"\tchunked", CL, body=b"hello"),
        "a space before the colon of a coding": post(b"Transfer-Encoding : chunked", CL, body=b"hello"),
        "a coding in HTTP/1.0": post(TE, body=LAST, line=b"POST /probe HTTP/1.0"),
        "a coding and a length in HTTP/1.0": post(TE, CL, body=LAST, line=b"POST /probe HTTP/1.0"),
        "a kept connection of HTTP/1.0 with a coding": post(
            b"Connection: keep-alive", TE, body=LAST, line=b"POST /probe HTTP/1.0"
        ),
        "a coding with an underscore in its name": post(CL, b"Transfer_Encoding: chunked", body=b"hello"),
    }
    host = {
        "no host": get(b"GET /probe HTTP/1.1", host=None),
        "two hosts": get(b"GET /probe HTTP/1.1", b"Host: other.test"),
        "the same host twice": get(b"GET /probe HTTP/1.1", b"Host: upstream.test"),
        "two hosts in HTTP/1.0": get(b"GET /probe HTTP/1.0", b"Host: other.test"),
        "two hosts in one line": get(b"GET /probe HTTP/1.1", host=b"Host: upstream.test, other.test"),
        "a host with a user": get(b"GET /probe HTTP/1.1", host=b"Host: me@upstream.test"),
        "a host with a path": get(b"GET /probe HTTP/1.1", host=b"Host: upstream.test/other"),
        "a host with a space": get(b"GET /probe HTTP/1.1", host=b"Host: upstream.test other.test"),
        "a host with a port that is none": get(b"GET /probe HTTP/1.1", host=b"Host: upstream.test:8o80"),
        "an empty host": get(b"GET /probe HTTP/1.1", host=b"Host:"),
        "a host in a folded line": get(b"GET /probe HTTP/1.1", b" other.test"),
        "a space before the colon of a host": get(b"GET /probe HTTP/1.1", host=b"Host : upstream.test"),
    }
    target = {
        "an absolute target for another host": get(b"GET http://other.test/probe HTTP/1.1"),
        "an absolute target for the same host": get(b"GET http://upstream.test/probe HTTP/1.1"),
        "an absolute target with a user": get(b"GET http://upstream.test@other.test/ HTTP/1.1"),
        "an authority as target of another method": get(b"GET other.test:443 HTTP/1.1"),
        "OPTIONS *": get(b"OPTIONS * HTTP/1.1"),
        "GET *": get(b"GET * HTTP/1.1"),
        "no slash at the beginning": get(b"GET probe HTTP/1.1"),
        "a space in the target": get(b"GET /pro be HTTP/1.1"),
        "a NUL in the target": get(b"GET /pro\0be HTTP/1.1"),
        "a control character in the target": get(b"GET /pro\x1fbe HTTP/1.1"),
        "a tab in the target": get(b"GET /pro\tbe HTTP/1.1"),
        "a DEL in the target": get(b"GET /pro\x7fbe HTTP/1.1"),
        "a bare CR in the target": get(b"GET /pro\rbe HTTP/1.1"),
        "UTF-8 that is none in the target": get(b"GET /..\xc0\xaf../etc HTTP/1.1"),
        "a parent": get(b"GET /probe/../other HTTP/1.1"),
        "an encoded parent": get(b"GET /probe/%2e%2e/other HTTP/1.1"),
        "a parent behind an encoded slash": get(b"GET /probe%2f..%2fother HTTP/1.1"),
        "a parent behind a backslash": get(b"GET /probe\\..\\other HTTP/1.1"),
        "a parent with parameters": get(b"GET /probe/..;a=1/other HTTP/1.1"),
        "no target": get(b"GET HTTP/1.1"),
    }
    line = {
        # What follows may have been meant for the other end.
        "CONNECT": get(b"CONNECT other.test:443 HTTP/1.1"),
        "CONNECT to a path": get(b"CONNECT /probe HTTP/1.1"),
        "HTTP/0.9": b"GET /probe\r\n\r\n",
        "HTTP/0.9 with a version": get(b"GET /probe HTTP/0.9"),
        "HTTP/1.2": get(b"GET /probe HTTP/1.2"),
        "HTTP/2.0": get(b"GET /probe HTTP/2.0"),
        "a version of two digits": get(b"GET /probe HTTP/1.10"),
        "a version with a zero in front": get(b"GET /probe HTTP/01.1"),
        "a version in lower case": get(b"GET /probe http/1.1"),
        "a version of another protocol": get(b"GET /probe RTSP/1.0"),
        "two spaces": get(b"GET  /probe HTTP/1.1"),
        "two spaces before the version": get(b"GET /probe  HTTP/1.1"),
        "a tab for a space": get(b"GET\t/probe HTTP/1.1"),
        "a space in front": get(b" GET /probe HTTP/1.1"),
        "a space at the end": get(b"GET /probe HTTP/1.1 "),
        "a method with a NUL": get(b"GE\0T /probe HTTP/1.1"),
        "a method in brackets": get(b"(GET) /probe HTTP/1.1"),
        "no method": get(b"/probe HTTP/1.1"),
        "lines that end with a bare CR": get(b"GET /probe HTTP/1.1").replace(b"\r\n", b"\r"),
        "a response": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 64 + b"\r\n\r\n",
    }
    fields = {
        "a folded line": get(b"GET /probe HTTP/1.1", b"X-A: 1", b" 2"),
        "a folded line before all": get(b"GET /probe HTTP/1.1", host=b" Host: upstream.test"),
        "a space before a colon": get(b"GET /probe HTTP/1.1", b"X-A : 1"),
        "a NUL in a value": get(b"GET /probe HTTP/1.1", b"X-A: 1\x002"),
        "a NUL in a name": get(b"GET /probe HTTP/1.1", b"X-\0A: 1"),
        "a control character in a value": get(b"GET /probe HTTP/1.1", b"X-A: 1\x082"),
        "a DEL in a value": get(b"GET /probe HTTP/1.1", b"X-A: 1\x7f2"),
        "a bare CR in a value": get(b"GET /probe HTTP/1.1", b"X-A: 1\rContent-Length: 5"),
        "a bare CR behind a value": get(b"GET /probe HTTP/1.1", b"X-A: 1\r"),
        "a name in brackets": get(b"GET /probe HTTP/1.1", b"(X-A): 1"),
        "a name that is not ASCII": get(b"GET /probe HTTP/1.1", "X-\u00c4: 1".encode()),
        "an empty name": get(b"GET /probe HTTP/1.1", b": 1"),
        "a line without a colon": get(b"GET /probe HTTP/1.1", b"X-A"),
        "a tab in a name": get(b"GET /probe HTTP/1.1", b"X\tA: 1"),
        "a line that says nothing but a space": get(b"GET /probe HTTP/1.1", b" "),
    }
    hop = {
        "a length that is the connection's": post(CL, b"Connection: Content-Length", body=b"hello"),
        "a host that is the connection's": get(b"GET /probe HTTP/1.1", b"Connection: close, Host"),
        "a coding of the content that is the connection's": post(
            CL, b"Content-Encoding: gzip", b"Connection: content-encoding", body=b"hello"
        ),
        "an authorization that is the connection's": get(b"GET /probe HTTP/1.1", b"Connection: Authorization"),
        "cookies that are the connection's": get(b"GET /probe HTTP/1.1", b"Connection: keep-alive , cookie"),
        "a WebSocket": get(
            b"GET /probe HTTP/1.1",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
        "an upgrade to what nobody knows": get(b"GET /probe HTTP/1.1", b"Connection: Upgrade", b"Upgrade: other/1"),
        "an upgrade to HTTP/2 or a WebSocket": get(
            b"GET /probe HTTP/1.1", b"Connection: Upgrade", b"Upgrade: h2c, websocket"
        ),
        "an upgrade with a body": post(CL, b"Connection: Upgrade", b"Upgrade: websocket", body=b"hello"),
    }
    other = {
        "a head above the limit": (get(b"GET /probe HTTP/1.1", b"X-A: " + b"a" * 20_000), 431),
        "a head above all bounds": (get(b"GET /probe HTTP/1.1", b"X-A: " + b"a" * 200_000), 431),
        "a name above all bounds": (get(b"GET /probe HTTP/1.1", b"a" * 200_000 + b": 1"), 431),
        "a method above all bounds": (get(b"A" * 200_000 + b" /probe HTTP/1.1"), 431),
        "more fields than allowed": (get(b"GET /probe HTTP/1.1", *[b"X-A: 1"] * 200), 431),
        "a target above the limit": (get(b"GET /" + b"a" * 20_000 + b" HTTP/1.1"), 431),
        "a target above all bounds": (get(b"GET /" + b"a" * 100_000 + b" HTTP/1.1"), 431),
        "a body that waits to be told to go on": (
            post(b"Content-Encoding: sdch", b"Content-Length: 50", b"Expect: 100-continue"),
            415,
        ),
    }
    # Behind these stands what would be smuggled if they ended earlier, or later.
    framed = {name: data + SMUGGLED for name, data in (length | coding | broken_chunks() | line | fields).items()}
    coded = {name: (framed.pop(name), 415) for name in CODED}
    # Nobody scans a method, so only those that are registered leave.
    methods = {
        f"the method {method.decode()}": (get(b"%b /probe HTTP/1.1" % method), 501)
        for method in (b"get", b"Get", b"FROBNICATE", b"M-SEARCH", b"PRI", b"SOURCE")
    }
    return {name: (data, 400) for name, data in (framed | host | target | hop).items()} | coded | other | methods


def forwarded():
    """Name to the bytes, what arrives of them, and the statuses of all answers."""
    arrives = ("POST", "/probe", b"hello")
    one = {
        "chunks": chunks(HELLO),
        "a chunk's size in upper case": (chunks(b"A\r\nhellohello\r\n" + LAST), b"hellohello"),
        "a chunk's size with zeros": chunks(b"00000005\r\nhello\r\n000\r\n\r\n"),
        "an extension": chunks(b'5;a=b;c="d;e"\r\nhello\r\n0;f\r\n\r\n'),
        "whitespace around an extension": chunks(b"5 \t; a = b\r\nhello\r\n" + LAST),
        "a coding in capitals": post(b"TRANSFER-ENCODING: CHUNKED", body=HELLO),
        "a coding behind a tab": post(b"Transfer-Encoding:\tchunked\t ", body=HELLO),
        "a coding behind a comma": post(b"Transfer-Encoding: , chunked", body=HELLO),
        "a length with zeros": post(b"Content-Length: 0005", body=b"hello"),
        "a length in whitespace": post(b"Content-Length: \t 5 ", body=b"hello"),
        "the same length twice": post(CL, CL, body=b"hello"),
        "a name that begins as a length": post(CL, b"Content-Length-X: 1", body=b"hello"),
        "an offer of HTTP/2": post(
            CL, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", body=b"hello"
        ),
        "what is a proxy's": post(
            CL, b"Proxy-Connection: close", b"Keep-Alive: timeout=5", b"TE: trailers", b"Trailer: X-A", body=b"hello"
        ),
        "a field that is the connection's": post(CL, b"Connection: X-Mine, TE", b"X-Mine: 1", body=b"hello"),
        "an expectation that nobody knows": post(CL, b"Expect: 200-ok", body=b"hello"),
        "an expectation of a body that is there": post(CL, b"Expect: 100-continue", body=b"hello"),
        "a value that is not ASCII": post(CL, "X-A: \u00c4".encode(), body=b"hello"),
        "empty lines in front": b"\r\n\r\n" + post(CL, body=b"hello"),
    }
    trailers = {
        "a trailer": b"X-A: 1\r\n",
        "a length in a trailer": b"Content-Length: 50\r\n",
        "a coding in a trailer": b"Transfer-Encoding: chunked\r\n",
        "a host in a trailer": b"Host: other.test\r\n",
        "an authorization in a trailer": b"Authorization: Bearer me\r\n",
    }
    found = {
        name: (chunks(b"5\r\nhello\r\n0\r\n" + lines + b"\r\n" + NEXT), [arrives, ("GET", "/next", b"")], [200, 200])
        for name, lines in trailers.items()
    }
    for name, probe in one.items():
        data, body = probe if isinstance(probe, tuple) else (probe, b"hello")
        # The next request begins where this one ends.
        found[name] = (data + NEXT, [("POST", "/probe", body), ("GET", "/next", b"")], [200, 200])
    for name, target in {
        "an encoded slash": b"/pro%2Fbe",
        "two slashes": b"//pro//be",
        "a backslash": b"/pro\\be",
        "an encoded NUL": b"/pro%00be",
        "encoded ends of lines": b"/pro%0d%0aX-A:%201",
        "a percent that encodes nothing": b"/pro%zzbe",
        "parents in a query": b"/probe?a=/../b",
        "a second question mark": b"/probe?a?b",
        "UTF-8": "/pro/\u00e4".encode(),
        "brackets": b"/probe?a[]=b|{c}",
    }.items():
        found[f"{name} in the target"] = (
            get(b"GET %b HTTP/1.1" % target), [("GET", target.decode("latin-1"), b"")], [200]
        )
    for method in (b"TRACE", b"DELETE", b"PROPFIND", b"VERSION-CONTROL"):
        found[f"the method {method.decode()}"] = (
            get(b"%b /probe HTTP/1.1" % method), [(method.decode(), "/probe", b"")], [200]
        )
    for method in (b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE"):
        data = post(CL, body=b"hello" + SMUGGLED, line=b"%b /probe HTTP/1.1" % method)
        arrived = [(method.decode(), "/probe", b"hello"), ("GET", "/smuggled", b"")]
        found[f"a body of {method.decode()}"] = (data, arrived, [200, 200])
    close = b"Connection: close"
    return found | {
        "a request alone": (post(CL, body=b"hello"), [arrives], [200]),
        "a request behind one that closes": (post(CL, close, body=b"hello" + SMUGGLED), [arrives], [200]),
        "a request behind one of two that close": (
            post(CL, b"Connection: keep-alive", close, body=b"hello" + SMUGGLED), [arrives], [200]
        ),
        "HTTP/1.0": (
            post(CL, body=b"hello" + SMUGGLED, line=b"POST /probe HTTP/1.0", host=None), [arrives], [200]
        ),
        "HTTP/1.0 that is kept": (
            post(CL, b"Connection: keep-alive", body=b"hello" + NEXT, line=b"POST /probe HTTP/1.0"),
            [arrives, ("GET", "/next", b"")],
            [200, 200],
        ),
        "HTTP/1.0 that expects to be told to go on": (
            post(CL, b"Expect: 100-continue", body=b"hello", line=b"POST /probe HTTP/1.0"), [arrives], [200]
        ),
        "more bytes than the length": (post(CL, body=b"hello, world\r\n\r\n"), [arrives], [200, 400]),
        # What nobody said is a body is the next request's method, and does not leave.
        "no length": (post(body=b"hello" + SMUGGLED), [("POST", "/probe", b"")], [200, 501]),
        "a fragment in the target": (get(b"GET /probe#part HTTP/1.1"), [("GET", "/probe", b"")], [200]),
        "many in a row": (
            b"".join(post(CL, body=b"%05d" % at, line=b"POST /%d HTTP/1.1" % at) for at in range(100)),
            [("POST", f"/{at}", b"%05d" % at) for at in range(100)],
            [200] * 100,
        ),
    }


def cut():
    """Requests that end before their end."""
    return {
        "half a body": post(CL, body=b"hel"),
        "no last chunk": chunks(b"5\r\nhello\r\n"),
        "half a last chunk": chunks(b"5\r\nhello\r\n0\r\n"),
        "half a chunk": chunks(b"5\r\nhel"),
        "half a trailer": chunks(b"5\r\nhello\r\n0\r\nX-A: 1\r\n"),
        "half a head": post(CL, body=b"hello")[:40],
        "a head without its end": get(b"GET /probe HTTP/1.1")[:-2],
        "half a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\n",
        "nothing": b"",
        "a length beyond all there is": post(b"Content-Length: 999999999", body=b"hello"),
    }


def broken_answers():
    """What an upstream sends that is no answer, or several, and whether it closes then."""
    head, json = b"HTTP/1.1 200 OK\r\n", b"Content-Type: application/json\r\n"
    switch = b"HTTP/1.1 101 Switching Protocols\r\n"

    def answer(*lines, body=b"", line=head):
        return line + json + b"".join(each + b"\r\n" for each in lines) + b"\r\n" + body

    length = {
        "a length beside chunks": answer(CL, TE, body=b"6\r\n[1, 2]\r\n" + LAST),
        "chunks beside a length": answer(TE, b"Content-Length: 6", body=b"6\r\n[1, 2]\r\n" + LAST),
        "a length that is longer than the chunks": answer(TE, b"Content-Length: 20", body=HELLO),
        "a length of zero beside chunks": answer(TE, b"Content-Length: 0", body=HELLO),
        "a length that is none beside chunks": answer(TE, b"Content-Length: x", body=HELLO),
        "lengths that differ": answer(CL, b"Content-Length: 3", body=b"[1,2]"),
        "lengths that differ in one line": answer(b"Content-Length: 5, 3", body=b"[1,2]"),
        "a length with a plus": answer(b"Content-Length: +5", body=b"[1,2]"),
        "a negative length": answer(b"Content-Length: -5", body=b"[1,2]"),
        "a hexadecimal length": answer(b"Content-Length: 0x5", body=b"[1,2]"),
        "an empty length": answer(b"Content-Length:", body=b"[1,2]"),
        "a length beyond 64 bits": answer(b"Content-Length: 18446744073709551621", body=b"[1,2]"),
        "a space before the colon of a length": answer(b"Content-Length : 5", body=b"[1,2]"),
        "a length in a folded line": answer(b"Content-Length:", b" 5", body=b"[1,2]"),
    }
    coding = {
        "gzip, then chunked": answer(b"Transfer-Encoding: gzip, chunked", body=HELLO),
        "gzip and chunked in two lines": answer(b"Transfer-Encoding: gzip", TE, body=HELLO),
        "chunked, then gzip": answer(b"Transfer-Encoding: chunked, gzip", body=HELLO),
        "chunked twice": answer(b"Transfer-Encoding: chunked, chunked", body=HELLO),
        "gzip alone": answer(b"Transfer-Encoding: gzip", body=b"hello"),
        "an unknown coding": answer(b"Transfer-Encoding: xchunked", body=HELLO),
        "identity": answer(b"Transfer-Encoding: identity", body=b"hello"),
        "no coding": answer(b"Transfer-Encoding:", body=HELLO),
        "a coding behind a vertical tab": answer(b"Transfer-Encoding: \x0bchunked", body=HELLO),
        "a coding in HTTP/1.0": answer(TE, body=HELLO, line=b"HTTP/1.0 200 OK\r\n"),
    }
    body = {
        "half a body": answer(CL, body=b"[1,"),
        "a body that does not begin": answer(CL),
        "no last chunk": answer(TE, body=b"5\r\nhello\r\n"),
        "half a last chunk": answer(TE, body=b"5\r\nhello\r\n0\r\n"),
        "half a chunk": answer(TE, body=b"5\r\nhel"),
        "a chunk without its end": answer(TE, body=b"5\r\nhello" + LAST),
        "a chunk that is longer than it says": answer(TE, body=b"5\r\nhello, world\r\n" + LAST),
        "a chunk of negative size": answer(TE, body=b"-5\r\nhello\r\n" + LAST),
        "a chunk whose size wraps to another": answer(TE, body=b"10000000000000005\r\nhello\r\n" + LAST),
        "a chunk's size that ends with a bare LF": answer(TE, body=b"5\nhello\r\n" + LAST),
        "an extension with a bare LF": answer(TE, body=b"5;a\nhello\r\n" + LAST),
        "an extension of 64 KiB": answer(TE, body=b"5;" + b"a" * 65536 + b"\r\nhello\r\n" + LAST),
        "a folded trailer": answer(TE, body=b"5\r\nhello\r\n0\r\nX-A: 1\r\n 2\r\n\r\n"),
        "no chunks": answer(TE, body=b"hello"),
    }
    line = {
        "HTTP/0.9": b"hello",
        "HTTP/1.2": answer(CL, body=b"[1,2]", line=b"HTTP/1.2 200 OK\r\n"),
        "HTTP/2.0": answer(CL, body=b"[1,2]", line=b"HTTP/2.0 200 OK\r\n"),
        "another protocol": answer(CL, body=b"[1,2]", line=b"ICY 200 OK\r\n"),
        "a status of two digits": answer(CL, body=b"[1,2]", line=b"HTTP/1.1 20 OK\r\n"),
        "a status of four digits": answer(CL, body=b"[1,2]", line=b"HTTP/1.1 2000 OK\r\n"),
        "a status with a plus": answer(CL, body=b"[1,2]", line=b"HTTP/1.1 +20 OK\r\n"),
        "a status below all": answer(CL, body=b"[1,2]", line=b"HTTP/1.1 000 OK\r\n"),
        "no status": answer(CL, body=b"[1,2]", line=b"HTTP/1.1 OK\r\n"),
        "an upgrade that nobody asked for": answer(b"Connection: upgrade", b"Upgrade: h2c", line=switch),
        "a request": get(b"GET / HTTP/1.1"),
        "half a head": answer(CL)[:-4],
        "nothing": b"",
        "100 and nothing": b"HTTP/1.1 100 Continue\r\n\r\n",
    }
    fields = {
        "a folded line": answer(CL, b"X-A: 1", b" 2", body=b"[1,2]"),
        "a space before a colon": answer(CL, b"X-A : 1", body=b"[1,2]"),
        "a NUL in a value": answer(CL, b"X-A: 1\x002", body=b"[1,2]"),
        "a bare CR in a value": answer(CL, b"X-A: 1\rSet-Cookie: a=1", body=b"[1,2]"),
        "a control character in a value": answer(CL, b"X-A: 1\x082", body=b"[1,2]"),
        "a line without a colon": answer(CL, b"X-A", body=b"[1,2]"),
        "an empty name": answer(CL, b": 1", body=b"[1,2]"),
        "a NUL in a name": answer(CL, b"X-\0A: 1", body=b"[1,2]"),
        "more fields than allowed": answer(CL, *[b"X-A: 1"] * 200, body=b"[1,2]"),
        "a head above all bounds": answer(CL, b"X-A: " + b"a" * 1_000_000, body=b"[1,2]"),
        "a length that is the connection's": answer(CL, b"Connection: Content-Length", body=b"[1,2]"),
        "a type that is the connection's": answer(CL, b"Connection: Content-Type", body=b"[1,2]"),
        "a coding of the content that is the connection's": answer(
            CL, b"Content-Encoding: gzip", b"Connection: Content-Encoding", body=b"[1,2]"
        ),
    }
    return length | coding | body | line | fields


def odd_answers():
    """Name to what an upstream sends before it closes, status and body."""
    head = b"HTTP/1.1 200 OK\r\n"
    return {
        "chunks": (head + TE + b"\r\n\r\n" + HELLO, 200, b"hello"),
        "an extension": (head + TE + b"\r\n\r\n5;a=b\r\nhello\r\n" + LAST, 200, b"hello"),
        "a trailer": (head + TE + b"\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n", 200, b"hello"),
        "an end that is the connection's": (head + b"\r\nhello", 200, b"hello"),
        "an end that is the connection's in HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", 200, b"hello"),
        "the same length twice": (head + b"%b\r\n%b\r\n\r\nhello" % (CL, CL), 200, b"hello"),
        "the same length twice in one line": (head + b"Content-Length: 5, 5\r\n\r\nhello", 200, b"hello"),
        "no reason": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
        "an empty reason": (b"HTTP/1.1 404 \r\nContent-Length: 5\r\n\r\nhello", 404, b"hello"),
        "a reason that is not ASCII": (b"HTTP/1.1 500 \xc3\xa4\r\nContent-Length: 0\r\n\r\n", 500, b""),
        "a status that nobody knows": (b"HTTP/1.1 799 Odd\r\nContent-Length: 5\r\n\r\nhello", 799, b"hello"),
        "lines that end with a bare LF": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, b"hello"),
        "100 before it": (b"HTTP/1.1 100 Continue\r\n\r\n" + head + CL + b"\r\n\r\nhello", 200, b"hello"),
        "hints before it": (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 50 + head + CL + b"\r\n\r\nhello", 200, b"hello"
        ),
        "204 with a body": (b"HTTP/1.1 204 No Content\r\n" + CL + b"\r\n\r\nhello", 204, b""),
        "204 with chunks": (b"HTTP/1.1 204 No Content\r\n" + TE + b"\r\n\r\n" + HELLO, 204, b""),
        "304 with a length": (b"HTTP/1.1 304 Not Modified\r\n" + CL + b"\r\n\r\n", 304, b""),
        "304 with a body": (b"HTTP/1.1 304 Not Modified\r\n" + CL + b"\r\n\r\nhello", 304, b""),
        "an upgrade that is none": (
            head + b"Upgrade: h2c\r\nConnection: upgrade\r\n" + CL + b"\r\n\r\nhello", 200, b"hello"
        ),
        "more bytes than the length": (head + CL + b"\r\n\r\nhello, world", 200, b"hello"),
    }
