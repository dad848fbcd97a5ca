"""What the tests of identity share: a pipeline whose batches nothing judges, for they are about who a row belongs to.

Lives here: the fixture `suite`.
Does not live here: what the gate makes of rows (`tests/unit/ingest/`, `tests/unit/quality/`).
"""

import pytest

from pipelines.ingest.suites import Suite
from tests.support.suites import no_expectations


@pytest.fixture
def suite() -> Suite:
    return no_expectations
