"""EMA, RSI and ATR computed a second time, in SQL and without recursion, agree to 1e-12 on the bundled index.

A recursion y += a (u − y) is unrolled: inside a block of bars, y is d^k times what stood before the block plus a sum of u d^−k,
d = 1 − a. A block ends where d^k reaches 1e-150: d^−k is still finite, and what stood before the block before has vanished.
Nothing is shared with the kernels but the formula.
"""

import gzip
import math

import duckdb
import numpy as np
import polars as pl
import pytest

from pipelines.bundled import bundled_folder
from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute


@pytest.fixture(scope="module")
def bars():
    frame = pl.read_csv(gzip.decompress((bundled_folder() / "arch" / "sp500.csv.gz").read_bytes()))
    return frame.rename({name: name.lower() for name in frame.columns})


@pytest.fixture(scope="module")
def computed(bars):
    n = bars.height
    prices = [bars[name].to_numpy() for name in ("open", "high", "low", "close")]
    unknown = np.full(n, np.nan)
    return compute(BarArrays(np.array([0, n]), *prices, unknown, unknown, np.arange(n))).columns


def smoothed(bars, inputs, window, weight):
    """The recursion over `inputs` (SQL over the bars, NULL where there is none), seeded with a mean of `window`."""
    decay = 1 - weight
    block = math.floor(150 * math.log(10) / -math.log(decay))
    query = f"""
        with numbered as (select *, row_number() over () - 1 as bar from bars),
        inputs as (select bar, {inputs} as u from numbered window w as (order by bar)),
        counted as (select bar, u, row_number() over (order by bar) as place from inputs where u is not null),
        seed as (select avg(u) as y from counted where place <= {window}),
        later as (
            select bar, u, (place - {window} - 1) // {block} as block, (place - {window} - 1) % {block} as k
            from counted where place > {window}
        ),
        inside as (
            select *, sum({weight!r}::double * u * pow({decay!r}::double, -k))
                over (partition by block order by bar rows unbounded preceding) * pow({decay!r}::double, k) as own
            from later
        ),
        ends as (select block + 1 as block, last(own order by bar) as before from inside group by block)
        select bar, y from seed, (select bar from counted where place = {window})
        union all
        select bar, own + pow({decay!r}::double, k + 1) * coalesce(before, (select y from seed))
        from inside left join ends using (block)
        order by 1
    """
    with duckdb.connect() as connection:
        connection.register("bars", bars.to_arrow())
        found = connection.sql(query).fetchnumpy()
    values = np.full(bars.height, np.nan)
    values[np.asarray(found["bar"], dtype=int)] = found["y"]
    return values


@pytest.mark.parametrize("window", [12, 20, 26, 50])
def test_ema_equals_its_closed_form(bars, computed, window):
    expected = smoothed(bars, "close", window, 2 / (window + 1))
    np.testing.assert_allclose(computed[f"ema_{window}"], expected, rtol=1e-12)


def test_rsi_equals_its_closed_form(bars, computed):
    change = "close - lag(close) over w"
    gain = smoothed(bars, f"case when {change} is not null then greatest({change}, 0) end", 14, 1 / 14)
    loss = smoothed(bars, f"case when {change} is not null then greatest(-({change}), 0) end", 14, 1 / 14)
    assert np.isfinite(computed["rsi_14"]).sum() == bars.height - 14
    np.testing.assert_allclose(computed["rsi_14"], 100 * gain / (gain + loss), rtol=1e-12)


def test_atr_equals_its_closed_form(bars, computed):
    ranges = "case when lag(close) over w is not null then greatest(high, lag(close) over w) - least(low, lag(close) over w) end"
    np.testing.assert_allclose(computed["atr_14"], smoothed(bars, ranges, 14, 1 / 14), rtol=1e-12)
