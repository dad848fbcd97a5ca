"""What the tests of quality share: a pipeline on which the shipped suites judge the bars alone.

Lives here: the fixture `suite`.
Does not live here: what the suites say of the other tables (`tests/unit/ingest/test_suites.py`).
"""

import pytest

from pipelines.ingest.suites import Suite
from tests.support.suites import only_for


@pytest.fixture
def suite() -> Suite:
    return only_for({"bars_daily", "bars_1m"})
