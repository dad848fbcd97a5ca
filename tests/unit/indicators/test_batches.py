"""Results become Arrow batches with nulls for NaN; states survive the way out and back bit for bit."""

import numpy as np
import pyarrow as pa
import pytest

from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.batches import result_to_arrow, state_from_arrow, state_to_arrow
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import REGISTRY


@pytest.fixture
def result():
    close = np.linspace(10, 20, 30)
    return compute(BarArrays(np.array([0, 30]), *[close] * 4, np.full(30, 5.0), np.full(30, np.nan), np.arange(30)))


def test_columns_come_after_their_keys_with_nulls_where_not_defined(result):
    batch = result_to_arrow(result, {"bar": pa.array(range(30))})
    assert batch.schema.names == ["bar", *REGISTRY.columns(), "bars_seen"]
    assert batch.column("sma_20").null_count == 19
    assert batch.column("sma_200").null_count == 30
    assert batch.column("sma_20").type == pa.float64()
    batch.validate(full=True)


def test_state_survives_the_way_out_and_back(result):
    batch = state_to_arrow(result, {"session": pa.array(range(30))})
    back = state_from_arrow(pa.Table.from_batches([batch]))
    np.testing.assert_array_equal(back.view(np.int64), result.state.view(np.int64))


def test_a_state_of_other_indicators_is_refused(result):
    batch = state_to_arrow(result, {}).drop_columns(["psar_sar"])
    with pytest.raises(ValueError, match="lacks psar_sar"):
        state_from_arrow(batch)


def test_keys_of_another_length_are_refused(result):
    with pytest.raises(ValueError, match="one per new bar"):
        result_to_arrow(result, {"bar": pa.array([1])})
