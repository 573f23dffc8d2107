"""What the service says of itself is true of whatever Schemathesis asks it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hashlearn.web.app import create_app

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def operations():
    """List the routes, and those to which something wrong can be said a second time."""
    for path, methods in create_app({}).openapi()["paths"].items():
        for method, told in methods.items():
            yield path, method, GenerationMode.POSITIVE
            places = [parameter["in"] for parameter in told.get("parameters", [])]
            if "requestBody" in told or "query" in places:
                yield path, method, GenerationMode.NEGATIVE


@pytest.mark.parametrize(("path", "method", "mode"), list(operations()))
def test_answers_are_as_described(serving, path, method, mode):
    described = schemathesis.openapi.from_asgi("/api/v1/openapi.json", serving().app)
    operation = described[path][method.upper()]

    @seed(0)
    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        operation.as_strategy(generation_mode=mode),
        st.sampled_from(["points", "photos", "animals"]),
        st.sampled_from(["p/1", "1.png", "t1"]),
    )
    def check(case, name, key):
        if "name" in case.path_parameters and mode is GenerationMode.POSITIVE:
            case.path_parameters["name"] = name  # or nothing would ever be found
            if "key" in case.query and len(case.query["key"]) % 2:
                case.query["key"] = key
        case.call_and_validate(checks=CHECKS)

    check()
