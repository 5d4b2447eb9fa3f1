"""What the Edge says of itself is OpenAPI, and its examples keep its own rules."""

import json
import re

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

from harness import Process, edge_environment, http_get


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """Of an Edge with nothing behind it."""
    edge = Process(tmp_path_factory.mktemp("openapi"), "Edge", edge_environment()).start()
    try:
        status, headers, body = http_get(edge.addresses["http"], "/openapi.json")
        assert (status, headers["content-type"]) == (200, "application/json")
        yield json.loads(body)
    finally:
        edge.stop()


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def test_is_openapi(document):
    validate(document)
    assert document["openapi"].startswith("3.1.")


def test_operations_are_named_once(document):
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names)) > 0


def test_everything_is_described(document):
    for name, operation in operations(document):
        assert operation["summary"] and operation["description"], name
        assert all(parameter["description"] for parameter in operation.get("parameters", ())), name
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name
        for field, value in schema.get("properties", {}).items():
            assert value.get("description"), f"{name}.{field}"


def examples(node, where=""):
    """Every example with the schema beside it."""
    if isinstance(node, dict):
        if "example" in node and "schema" in node:
            yield where, node["schema"], node["example"]
        for name, value in node.items():
            yield from examples(value, f"{where}/{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from examples(value, f"{where}/{index}")


def test_examples_keep_the_rules(document):
    count = 0
    for where, schema, example in examples(document):
        resolvable = {**schema, "components": document["components"]}
        validator = Draft202012Validator(resolvable, format_checker=FormatChecker())
        assert not list(validator.iter_errors(example)), (where, example)
        count += 1
    assert count > 30


def test_paths_lead_to_one_place(document):
    """They differ in more than the names of their variables."""
    shapes = [re.sub(r"{\w+}", "{}", path) for path in document["paths"]]
    assert len(shapes) == len(set(shapes))
