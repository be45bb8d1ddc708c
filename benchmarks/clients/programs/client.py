"""Talks to an endpoint through Weir with httpx, and prints a line for each case: ok NAME, or FAIL NAME and why.

client.py BASE http1|http2 CA RUN
"""

import hashlib
import ssl
import sys
import traceback

import httpx

base, protocol, ca, run = sys.argv[1:]
two = protocol == "http2"
verify = ssl.create_default_context(cafile=ca) if base.startswith("https") else False
# Over plaintext http1=False stands for prior knowledge.
client = httpx.Client(base_url=base, http1=not two, http2=two, verify=verify, timeout=20, trust_env=False)
DATA = bytes(range(256)) * 400


def hold(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def answered(r, status=200):
    hold(r.status_code, status)
    hold(r.http_version, "HTTP/2" if two else "HTTP/1.1")
    return r


def get():
    hold(answered(client.get("/hello")).text, "hello\n")


def post():
    r = answered(client.post("/echo", content=DATA))
    hold(r.text, f"{len(DATA)} false {hashlib.sha256(DATA).hexdigest()}")


def chunked():
    r = answered(client.post("/echo", content=iter([DATA] * 10)))
    hold(r.text, f"{len(DATA) * 10} true {hashlib.sha256(DATA * 10).hexdigest()}")


def large():
    total = hashlib.sha256()
    with client.stream("GET", "/large?n=16777216") as r:
        answered(r)
        for piece in r.iter_bytes():
            total.update(piece)
    hold(total.hexdigest(), r.headers["digest-hex"])


def events():
    got = []
    with client.stream("GET", f"/events?run={run}") as r:
        for line in r.iter_lines():
            if line.startswith("data: "):
                got.append(line[6:].rstrip("\n"))
                answered(client.get(f"/seen?run={run}&n={len(got) - 1}"), 204)
    hold(got, ["0", "1", "2", "3", "4"])


def head():
    r = answered(client.head("/hello"))
    hold((r.headers["content-length"], r.content), ("6", b""))


def missing():
    answered(client.get("/missing"), 404)


def gzip():
    r = answered(client.get("/gzip"))
    hold(r.headers["content-encoding"], "gzip")
    hold(r.text, "A weir makes a river's flow even. " * 1000)


def reuse():
    hold(len({answered(client.get("/port")).text for _ in range(5)}), 1)


for case in [get, post, chunked, large, head, missing, gzip, reuse, events]:
    try:
        case()
        print("ok", case.__name__, flush=True)
    except Exception as e:
        why = traceback.format_exception_only(e)[-1].strip()
        print("FAIL", case.__name__, why.replace("\n", " "), flush=True)
