"""schemathesis against the description: whatever is sent, no server error, and answers of the described form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agent.apps.service.app import create_app
from agent.apps.service.settings import ServiceSettings
from tests.agent.tiny_agent import embedded_agent

OPERATIONS = (
    "POST /v1/code",
    "POST /v1/code-many",
    "POST /v1/read",
    "POST /v1/explain",
    "GET /v1/codes/{system}",
    "GET /v1/codes/{system}/{code}",
    "POST /v1/jobs",
    "GET /v1/jobs/{job}",
    "GET /v1/jobs/{job}/result",
    "DELETE /v1/jobs/{job}",
    "GET /info",
    "GET /metrics",
    "GET /health/live",
    "GET /health/ready",
)
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    """The description as the application gives it; requests go to it in this process."""
    jobs = tmp_path_factory.mktemp("jobs")
    app = create_app(embedded_agent(), ServiceSettings(max_texts=8, queue_texts=64, jobs=jobs))
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    shutdown_lifespans()


def test_every_operation_is_tried(description: schemathesis.BaseSchema) -> None:
    assert {result.ok().label for result in description.get_all_operations()} == set(OPERATIONS)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_breaks_the_service(
    description: schemathesis.BaseSchema, label: str, mode: GenerationMode
) -> None:
    [operation] = [result.ok() for result in description.get_all_operations() if result.ok().label == label]
    if mode.is_negative and label.startswith(("GET /info", "GET /metrics", "GET /health/")):
        pytest.skip("takes nothing that could be wrong")

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attempt(case: schemathesis.Case) -> None:
        answer = case.call()
        # While the model warms up, 503 is what readiness has to say.
        assert answer.status_code < 500 or (answer.status_code == 503 and label == "GET /health/ready")
        # A changed method or path is another request than the one described.
        if answer.status_code not in (404, 405):
            case.validate_response(answer, checks=CHECKS)

    attempt()
