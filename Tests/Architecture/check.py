#!/usr/bin/env python3
"""The rules of the house that no compiler checks: who may import whom, and what is tested. Run by ./dev verify."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "Sources"
SERVICES = {"IdentitySvc", "StoreSvc", "AnalyticsSvc", "BookingSvc", "NotifySvc", "Edge"}
# The modules of our own that each may import.
ARROWS = {
    "Schema": set(),
    "TimeZones": {"Schema"},
    "Gzip": {"CZlib"},
    "HTTP2": {"CNghttp2"},
    "RPC": {"Gzip", "HTTP2"},
    "MainstreetAPI": {"CMainstreetProto", "CProtobufC", "RPC", "Schema"},
    "Postgres": {"CLibpq"},
    "Jobs": {"Postgres", "TimeZones"},
    "ServiceKit": {"HTTP2", "Jobs", "MainstreetAPI", "Postgres", "RPC", "Schema"},
    "IdentitySvc": {"CCrypt", "MainstreetAPI", "Postgres", "RPC", "ServiceKit", "TimeZones"},
    "StoreSvc": {"Gzip", "Jobs", "MainstreetAPI", "Postgres", "RPC", "Schema", "ServiceKit", "TimeZones"},
    "Edge": {"Gzip", "HTTP2", "MainstreetAPI", "RPC", "Schema", "ServiceKit"},
}
IMPORT = re.compile(r"^\s*(?:@\w+ +)*(?:(?:public|package|internal|private|fileprivate) +)?import +(?:\w+ +)?(\w+)", re.M)
OURS = set(ARROWS) | SERVICES | {"CNghttp2", "CProtobufC", "CLibpq", "CZlib", "CCrypt", "CMainstreetProto"}
# A decision is made of values alone: no database, no clock, no chance.
RULES = re.compile(r"(Rules|Engine|Policy)\.swift$")
FORBIDDEN_IN_SOURCES = {
    r"\btry!": "try! crashes the process",
    r"\bfatalError\(": "fatalError crashes the process",
    r"\bas! ": "as! crashes the process",
    r"(?<![\w.])print\(": "print goes around the log",
}
# Every statement of these is prepared against the real schema by their own tests, which list them: `static let
# statements: [any Statement.Type] = […]`.
PREPARED = SERVICES | {"Jobs", "ServiceKit"}
STATEMENT = re.compile(r"^\s*((?:\w+ +)*)struct +(\w+)[^{\n]*\bStatement\b[^{\n]*\{", re.M)
LIST = re.compile(r"static let statements: \[any Statement\.Type\] = \[(.*?)\]\s*$", re.M | re.S)


# ServiceKit's need the schema of a service.
PREPARED_BY = {"ServiceKit": "StoreSvc"}


def unprepared(module):
    suite = f"Tests/{PREPARED_BY.get(module, module)}Tests"
    tests = "\n".join(path.read_text() for path in sorted((ROOT / suite).rglob("*.swift")))
    listed = set(re.findall(r"(\w+)\.self", "".join(LIST.findall(tests))))
    for path in sorted((SOURCES / module).rglob("*.swift")):
        for modifiers, name in STATEMENT.findall(path.read_text()):
            if name not in listed:
                yield f"{path}: {name} is not among the statements that {suite} prepares"
            elif "private" in modifiers:
                yield f"{path}: {name} is private, so no test can prepare it"


def complaints():
    for module in sorted(PREPARED):
        yield from unprepared(module)
    for path in sorted(SOURCES.rglob("*.swift")):
        module = path.relative_to(SOURCES).parts[0]
        text = path.read_text()
        imports = set(IMPORT.findall(text))
        for name in sorted((imports & OURS) - {module} - ARROWS.get(module, set())):
            yield f"{path}: {module} may not import {name}"
        if RULES.search(path.name) and imports & {"Postgres", "RPC", "NIOCore", "Logging"}:
            yield f"{path}: rules are made of values alone, and this imports {', '.join(sorted(imports))}"
        if "Generated" in path.parts:
            continue
        code = re.sub(r"//.*", "", text)
        for pattern, why in FORBIDDEN_IN_SOURCES.items():
            if re.search(pattern, code):
                yield f"{path}: {why}"
        lines = text.count("\n")
        if lines > 400:
            yield f"{path}: {lines} lines; past 400 a file wants to be two"


if __name__ == "__main__":
    found = list(complaints())
    print("\n".join(found) if found else "architecture: every arrow points the right way")
    sys.exit(1 if found else 0)
