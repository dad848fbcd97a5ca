"""What is known of sources before any of them is imported agrees with the sources themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipelines.sources.csv_header import SPELLINGS
from pipelines.sources.names import BUILT_IN, FIELDS, OPTIONS, SourceOptionError, UnknownSourceError, check_source
from pipelines.sources.protocol import ParseOptions, RawFile, SourceError
from pipelines.sources.registry import load_sources


def test_every_field_that_headers_know_can_be_placed_by_an_option_and_no_other() -> None:
    assert set(FIELDS) == set(SPELLINGS)


def test_every_built_in_source_declares_its_options() -> None:
    assert set(OPTIONS) == set(BUILT_IN)


# Lean has no options either, and its reader does not look for any.
@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"lean"}))
def test_an_option_that_is_refused_here_is_refused_by_the_source_too(name: str, tmp_path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("symbol,date,open,high,low,close,volume\nA,2024-01-02,1,2,1,2,3\n")
    with pytest.raises(SourceOptionError):
        check_source(name, {"no_such_option": "1"})
    options = ParseOptions(exchange="XNSE", timezone="Asia/Kolkata", extra={"no_such_option": "1"})
    with pytest.raises(SourceError, match="no_such_option"):
        load_sources()[name].parse(RawFile(path, "bars.csv", "0" * 64), options)


@pytest.mark.parametrize(
    ("check", "error", "told"),
    [
        (lambda: check_source("scv", {}), UnknownSourceError, "did you mean csv"),
        (lambda: check_source("csv", {"intervall": "1d"}), SourceOptionError, "did you mean interval"),
        (lambda: check_source("csv", {"zzz": "1"}), SourceOptionError, r"no option 'zzz'\. It has columns, decimal, "),
        (lambda: check_source("csv", {"interval": "1h"}), SourceOptionError, "must be one of 1d, 1m"),
        (lambda: check_source("nse_ticks", {"interval": "1m"}), SourceOptionError, "has no options"),
    ],
)
def test_a_wrong_name_says_what_is_right(check: Callable[[], None], error: type[ValueError], told: str) -> None:
    with pytest.raises(error, match=told):
        check()


def test_right_names_pass() -> None:
    check_source("csv", {"interval": "1m", "column.close": "Settle", "price_scale": "100"})
    check_source("nse_bhavcopy", {"main_series": "EQ,BE"})
