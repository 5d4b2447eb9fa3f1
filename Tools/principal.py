#!/usr/bin/env python3
"""Prints who a credential makes a caller inside the platform, as the Edge finds it out. ./dev principal runs it."""

import argparse
import os
import pathlib
import sys

import grpc

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "Tests/EndToEnd"))

from contract import IDENTITY, call, message, metadata  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identity", required=True, help="where IdentitySvc serves gRPC")
    credential = parser.add_mutually_exclusive_group(required=True)
    credential.add_argument("--api-key")
    credential.add_argument("--access-token")
    options = parser.parse_args()
    shown = {"api_key": options.api_key} if options.api_key else {"access_token": options.access_token}
    with grpc.insecure_channel(options.identity) as channel:

        def access(method, metadata=None, **fields):
            stub = call(channel, IDENTITY + "AccessService", method)
            return stub(message(f"{IDENTITY}{method}Request", **fields), metadata=metadata, timeout=10)

        try:
            own = access("IssueServicePrincipal", service="edge", secret=os.environ["EDGE_SERVICE_SECRET"])
            print(access("ExchangeCredential", metadata(own.principal), **shown).principal)
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
