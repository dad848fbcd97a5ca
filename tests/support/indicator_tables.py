"""The indicator tables of a home without a file of chosen indicators, for tests that write and read them."""

from pipelines.indicators.registry import installed
from pipelines.indicators.tables import indicator_tables

INDICATOR_TABLES = dict(indicator_tables(installed()))
INDICATORS_DAILY = INDICATOR_TABLES["indicators_daily"]
