"""Requests that somebody in front of us may read otherwise than we do. None is answered as if it were good, and what comes
behind it is never taken for a request."""

import pytest

from edge import FIELDS, answers

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"


def post(fields, body=""):
    return f"POST /stores HTTP/1.1\r\n{FIELDS}{fields}\r\n\r\n{body}"


def chunked(body):
    return post("Transfer-Encoding: chunked", body)


REFUSED = {
    "CL.TE": post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    "TE.CL": post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
    "CL.CL": post("Content-Length: 0\r\nContent-Length: 36"),
    "CL twice the same": post("Content-Length: 0\r\nContent-Length: 0"),
    "CL in a list": post("Content-Length: 0, 0"),
    "CL with a sign": post("Content-Length: +36"),
    "CL in hexadecimal": post("Content-Length: 0x24"),
    "CL beyond numbers": post("Content-Length: 18446744073709551616"),
    "CL that is empty": post("Content-Length:"),
    "TE twice": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    "TE chunked twice": post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"),
    "TE chunked first": post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
    "TE not chunked": post("Transfer-Encoding: identity", "0\r\n\r\n"),
    "TE with vertical tab": post("Transfer-Encoding: \x0bchunked", "0\r\n\r\n"),
    "TE with parameter": post("Transfer-Encoding: chunked;a=b", "0\r\n\r\n"),
    "TE in 1.0": "POST /stores HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE folded": post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"),
    "TE with space before colon": post("Transfer-Encoding : chunked", "0\r\n\r\n"),
    "TE unknown": post("Transfer-Encoding: xchunked, chunked", "0\r\n\r\n"),
    "chunk size with prefix": chunked("0x0\r\n\r\n"),
    "chunk size with space": chunked("0 \r\n\r\n"),
    "chunk size that is empty": chunked("\r\n\r\n"),
    "chunk size beyond numbers": chunked("10000000000000000\r\n"),
    "chunk longer than it says": chunked("1\r\nab\r\n0\r\n\r\n"),
    "chunk that ends with LF": chunked("1\r\na\n0\r\n\r\n"),
    "chunk line that ends with LF": chunked("0\n\n"),
    "chunk extension with LF": chunked("1;a\nb\r\na\r\n0\r\n\r\n"),
    "chunk extension with CR": chunked("1;a\rb\r\na\r\n0\r\n\r\n"),
    "chunk extension too long": chunked(f"1;{'a' * 300}\r\na\r\n0\r\n\r\n"),
    "length in trailers": chunked("0\r\nContent-Length: 36\r\n\r\n"),
    "LF alone": "GET / HTTP/1.1\nHost: t\n\n",
    "LF alone between fields": "GET / HTTP/1.1\r\nHost: t\nX: y\r\n\r\n",
    "LF alone at the end": "GET / HTTP/1.1\r\nHost: t\r\n\n",
    "CR alone": "GET / HTTP/1.1\r\nHost: t\r\nX: a\rb\r\n\r\n",
    "NUL in a value": "GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n",
    "NUL in a name": "GET / HTTP/1.1\r\nHost: t\r\nX\0: y\r\n\r\n",
    "fold": "GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n",
    "fold at the start": "GET / HTTP/1.1\r\n Host: t\r\n\r\n",
    "space before colon": "GET / HTTP/1.1\r\nHost: t\r\nX : y\r\n\r\n",
    "no colon": "GET / HTTP/1.1\r\nHost: t\r\nX\r\n\r\n",
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "two hosts": "GET / HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n",
    "host that is none": "GET / HTTP/1.1\r\nHost: t/u\r\n\r\n",
    "host and another host": "GET http://t/ HTTP/1.1\r\nHost: u\r\n\r\n",
    "user information": "GET http://u@t/ HTTP/1.1\r\nHost: t\r\n\r\n",
    "two spaces": "GET  / HTTP/1.1\r\nHost: t\r\n\r\n",
    "three words": "GET / HTTP/1.1 HTTP/1.1\r\nHost: t\r\n\r\n",
    "fragment": "GET /#a HTTP/1.1\r\nHost: t\r\n\r\n",
    "version in lower case": "GET / http/1.1\r\nHost: t\r\n\r\n",
    "version without": "GET /\r\n\r\n",
    "version unknown": "GET / HTTP/1.9\r\nHost: t\r\n\r\n",
    "no request": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}
OTHERWISE = {"TE unknown": 501, "version unknown": 505}


@pytest.mark.parametrize("name", REFUSED)
def test_smuggling(edge, name):
    connection = edge.connect((REFUSED[name] + SMUGGLED).encode("latin-1"))
    assert answers(connection) == [OTHERWISE.get(name, 400)]


def test_smuggling_does_not_hurt_others(edge, attacked):
    with attacked(edge, 16) as attack:
        for _ in range(5):
            for text in REFUSED.values():
                attack.ended(answers(edge.connect((text + SMUGGLED).encode("latin-1")))[0])
