"""TLS between our server, our client, and other people's: openssl and grpcio, with certificates made on the spot."""

import concurrent.futures
import contextlib
import json
import queue
import re
import subprocess
import time

import grpc
import pytest

from conftest import PATIENCE_SECONDS
from testing import Empty, ResponseParameters, SimpleRequest, StreamingOutputCallRequest, Stub, handlers

HOST = "DNS:localhost,IP:127.0.0.1"


class Authority:
    """Certificates in a directory, by openssl's command line."""

    def __init__(self, directory):
        self.directory = directory
        for name in ("authority", "other-authority"):
            self._openssl(
                f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN={name}"
                f" -keyout {name}.key -out {name}.pem"
            )
        self.issue("server", HOST)
        self.issue("client", "DNS:edge.test")
        self.issue("expired-server", HOST, days=-1)
        self.issue("expired-client", "DNS:edge.test", days=-1)
        self.issue("stranger", "DNS:edge.test", by="other-authority")

    def path(self, name):
        return str(self.directory / name)

    def read(self, name):
        return (self.directory / name).read_bytes()

    def issue(self, name, names, by="authority", days=30):
        (self.directory / "names").write_text(f"subjectAltName={names}\n")
        self._openssl(
            f"req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout new.key -out new.csr"
        )
        self._openssl(
            f"x509 -req -in new.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -extfile names -days {days} -out new.pem"
        )
        for kind in ("pem", "key"):
            (self.directory / f"new.{kind}").rename(self.directory / f"{name}.{kind}")

    def _openssl(self, arguments):
        subprocess.run(["openssl", *arguments.split()], cwd=self.directory, check=True, capture_output=True)


class Server:
    """Our server with TLS, and what it logs."""

    def __init__(self, test_peer, authority, directory, name="server"):
        ready = directory / "ready.json"
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [test_peer, "serve", "--ready-file", ready, "--tls-certificate", authority.path(f"{name}.pem"),
                 "--tls-key", authority.path(f"{name}.key"), "--tls-client-ca", authority.path("authority.pem")],
                stderr=log,
            )
        wait_until(lambda: ready.exists() or self.process.poll() is not None, "the server serves")
        assert self.process.poll() is None, self.log.read_text()
        self.address = json.loads(ready.read_text())["grpc"]

    def says(self, words):
        """Waits for the words in the log and returns their line."""
        pattern = re.compile(f"^.*{re.escape(words)}.*$", re.M)
        wait_until(lambda: pattern.search(self.log.read_text()), f"the server logs \"{words}\"")
        return pattern.search(self.log.read_text()).group()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            assert self.process.wait(timeout=PATIENCE_SECONDS) == 0
        finally:
            self.process.kill()
            self.process.wait()


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(test_peer, authority, tmp_path):
    with Server(test_peer, authority, tmp_path) as server:
        yield server


def s_client(server, authority, *arguments, certificate="client"):
    """What openssl says of a connection."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", server.address, "-CAfile", authority.path("authority.pem"),
         "-cert", authority.path(f"{certificate}.pem"), "-key", authority.path(f"{certificate}.key"), *arguments],
        input=b"", capture_output=True, timeout=PATIENCE_SECONDS, check=False,
    )
    return done.stdout.decode() + done.stderr.decode()


def fingerprint(server, authority):
    shown = s_client(server, authority, "-alpn", "h2")
    certificate = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", shown, re.S).group()
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256"], input=certificate.encode(), capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def channel(server, authority, ca="authority", certificate="client"):
    """grpcio's client."""
    credentials = grpc.ssl_channel_credentials(
        authority.read(f"{ca}.pem"),
        authority.read(f"{certificate}.key") if certificate else None,
        authority.read(f"{certificate}.pem") if certificate else None,
    )
    return grpc.secure_channel(server.address, credentials)


def call(test_peer, target, authority, ca="authority", certificate="client", *arguments):
    """Our client; returns its exit status and what it says."""
    command = [test_peer, "call", "empty_unary", "--target", target, "--tls-ca", authority.path(f"{ca}.pem")]
    if certificate:
        command += ["--tls-certificate", authority.path(f"{certificate}.pem"),
                    "--tls-key", authority.path(f"{certificate}.key")]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("version, protocol", [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")])
def test_openssl_gets_on_with_our_server(server, authority, version, protocol):
    said = s_client(server, authority, "-alpn", "h2", version)
    print("\n".join(line for line in said.splitlines() if re.search("subject=|issuer=|ALPN|New,|Verif", line)))
    assert "ALPN protocol: h2" in said
    assert f"New, {protocol}" in said
    assert "Verify return code: 0 (ok)" in said
    assert "subject=CN = server" in said


def test_without_http2_in_alpn_there_is_no_connection(server, authority):
    s_client(server, authority)
    print(server.says("TLS handshake failed: the client does not offer HTTP/2 (ALPN h2)"))


def test_below_tls_1_2_there_is_no_connection(server, authority):
    said = s_client(server, authority, "-alpn", "h2", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "ALPN protocol: h2" not in said
    print(server.says("TLS handshake failed: the client offers no TLS version from 1.2 on"))


def test_grpcio_calls_our_server_by_mtls(server, authority):
    with channel(server, authority) as secure:
        stub = Stub(secure)
        assert stub.EmptyCall(Empty(), timeout=PATIENCE_SECONDS) == Empty()
        response = stub.UnaryCall(SimpleRequest(response_size=314159), timeout=PATIENCE_SECONDS)
        assert len(response.payload.body) == 314159


def test_our_client_calls_our_server_by_mtls(test_peer, server, authority):
    assert call(test_peer, server.address, authority) == (0, "passed empty_unary\n")


REFUSALS = [
    # server's certificate, client's authority, client's certificate, what our client says, what our server logs
    ("server", "other-authority", "client", "the server's certificate is from an unknown certificate authority",
     "the client says our certificate is from an unknown certificate authority"),
    ("expired-server", "authority", "client", "the server's certificate has expired",
     "the client says our certificate has expired"),
    ("server", "authority", None, "the server requires a certificate, and we have shown none",
     "the client has shown no certificate, and one is required"),
    ("server", "authority", "expired-client", "the server says our certificate has expired",
     "the client's certificate has expired"),
    ("server", "authority", "stranger", "the server says our certificate is from an unknown certificate authority",
     "the client's certificate is from an unknown certificate authority"),
]
NAMES = ["wrong_ca", "expired_server", "missing_client_certificate", "expired_client", "unknown_client"]


@pytest.mark.parametrize("certificate, ca, client, client_says, server_says", REFUSALS, ids=NAMES)
def test_our_client_is_refused(
    test_peer, authority, tmp_path, certificate, ca, client, client_says, server_says
):
    with Server(test_peer, authority, tmp_path, certificate) as server:
        status, said = call(test_peer, server.address, authority, ca, client)
        print("client:", said.strip().splitlines()[-1])
        print("server:", server.says(f"TLS handshake failed: {server_says}"))
        assert status == 1
        assert f"cannot connect to {server.address}: {client_says}" in said


@pytest.mark.parametrize("certificate, ca, client, client_says, server_says", REFUSALS, ids=NAMES)
def test_grpcio_is_refused(test_peer, authority, tmp_path, certificate, ca, client, client_says, server_says):
    with Server(test_peer, authority, tmp_path, certificate) as server:
        with channel(server, authority, ca, client) as secure, pytest.raises(grpc.RpcError) as refused:
            Stub(secure).EmptyCall(Empty(), timeout=PATIENCE_SECONDS)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        print("grpcio:", refused.value.details())
        # grpcio's alerts name what it minds in its own way; that the handshake failed is in the log in any case.
        print("server:", server.says("TLS handshake failed: "))
        if client_says.startswith("the server says") or client is None:
            server.says(f"TLS handshake failed: {server_says}")


def test_our_client_refuses_another_hosts_certificate(test_peer, authority, tmp_path):
    authority.issue("named", "DNS:store.test")
    with Server(test_peer, authority, tmp_path, "named") as server:
        assert call(test_peer, server.address, authority, "authority", "client", "--tls-server-name", "store.test")[0] == 0
        status, said = call(test_peer, server.address, authority)
        assert status == 1
        assert "the server's certificate is not made out to the host that was asked for (store.test)" in said


class Echo:
    def EmptyCall(self, request, _):
        return request


@contextlib.contextmanager
def grpcio_server(credentials):
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as threads:
        server = grpc.server(threads)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.add_generic_rpc_handlers([handlers(Echo())])
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(grace=None).wait()


@pytest.mark.parametrize("requires", [False, True])
def test_our_client_calls_grpcio(test_peer, authority, requires):
    credentials = grpc.ssl_server_credentials(
        [(authority.read("server.key"), authority.read("server.pem"))],
        root_certificates=authority.read("authority.pem") if requires else None, require_client_auth=requires,
    )
    with grpcio_server(credentials) as address:
        assert call(test_peer, address, authority) == (0, "passed empty_unary\n")
        status, said = call(test_peer, address, authority, "authority", None)
        assert status == (1 if requires else 0), said
        if requires:
            print("client:", said.strip().splitlines()[-1])
            # grpcio closes without TLS's word for it.
            assert "the server closed the connection; it may require a client certificate" in said
        status, said = call(test_peer, address, authority, "other-authority")
        assert status == 1 and "the server's certificate is from an unknown certificate authority" in said


def test_a_certificate_replaced_on_disk_is_served_without_a_restart(test_peer, authority, tmp_path):
    authority.issue("replaced", HOST)
    with Server(test_peer, authority, tmp_path, "replaced") as server:
        with channel(server, authority) as secure:
            # A stream that stays open all the while: one response after each request.
            wishes = StreamingOutputCallRequest(response_parameters=[ResponseParameters(size=10)])
            requests = queue.Queue()
            responses = Stub(secure).FullDuplexCall(iter(requests.get, None), timeout=PATIENCE_SECONDS)

            def echo():
                requests.put(wishes)
                assert len(next(responses).payload.body) == 10

            echo()
            before = fingerprint(server, authority)
            authority.issue("replaced", HOST)
            print(server.says("TLS files read again"))
            after = fingerprint(server, authority)
            print("before:", before, "\nafter: ", after)
            assert before != after
            echo()

            (authority.directory / "replaced.key").write_bytes(authority.read("client.key"))
            print(server.says("TLS files have changed and cannot be used; those read before stay in use"))
            assert fingerprint(server, authority) == after
            echo()
            requests.put(None)
            assert list(responses) == []
        assert call(test_peer, server.address, authority)[0] == 0
