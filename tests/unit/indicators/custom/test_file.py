"""The file of chosen indicators: what it adds, and how it says what is wrong with it and where."""

import pytest

from pipelines.indicators.custom.file import IndicatorFileError, read_indicators
from pipelines.indicators.registry import REGISTRY, Registry, extensions_fingerprint, load_custom

GOOD = "indicators:\n  - name: rsi\n    window: 7\n  - name: sma\n    window: 100\n"


@pytest.fixture
def write(tmp_path):
    def put(text):
        path = tmp_path / "indicators.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return put


def test_columns_and_state_follow_the_file(write):
    registry = Registry(REGISTRY, REGISTRY.columns())
    assert load_custom(write(GOOD), registry) == ("rsi_7", "sma_100")
    assert registry.columns() == (*REGISTRY.columns(), "rsi_7", "sma_100")
    assert [f.name for f in registry.state_fields()][-2:] == ["rsi_7__gain", "rsi_7__loss"]
    assert load_custom(write(GOOD), registry) == ()


def test_no_file_adds_nothing():
    registry = Registry(REGISTRY)
    assert load_custom(None, registry) == ()
    assert extensions_fingerprint(registry) == "built-in"


def test_the_fingerprint_tells_files_apart_by_what_they_choose(write):
    found = []
    for text in (GOOD, GOOD.replace("7", "9"), "# a remark\n" + GOOD):
        registry = Registry(REGISTRY)
        load_custom(write(text), registry)
        found.append(extensions_fingerprint(registry))
    assert found[0] != found[1]
    assert found[0] == found[2]
    assert "built-in" not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: the file is empty"),
        ("indicators: [\n", ":2: not YAML"),
        ("- name: rsi\n", ":1: write `indicators:`"),
        ("indicators:\n  rsi: 7\n", ":2: write `indicators:`"),
        ("indicators:\n  - rsi\n", ":2: an indicator is `- name: rsi`"),
        ("indicators:\n  - window: 7\n", ":2: an indicator without a name"),
        (
            "indicators:\n  - name: rsi\n    window: 7\n  - name: rsy\n    window: 9\n",
            ":4: no indicator 'rsy'; did you mean 'rsi'?",
        ),
        ("indicators:\n  - name: Bolinger\n    window: 9\n", ":2: no indicator 'Bolinger'; did you mean 'bollinger'?"),
        ("indicators:\n  - name: zzzz\n", ":2: no indicator 'zzzz' (known are sma, ema"),
        ("indicators:\n\n  - name: rsi\n    window: 0\n", ":3: rsi: window is 0; give a whole number from 2 to 1000"),
        ("indicators:\n  - name: rsi\n    window: 7\n    window: 9\n", ":2: window is given twice"),
        ("indicators:\n  - name: [rsi]\n    window: 7\n", ":2: no indicator ['rsi']"),
        ("indicators:\n  - name: rsi\n    window: .inf\n", ":3: '.inf' is no number up to 1e+15"),
        ("indicators:\n  - name: rsi\n    window: 2024-99-99\n", ":3: '2024-99-99' is a date"),
        ("indicators:\n  - name: rsi\n    [window]: 7\n", ":3: a list or mapping cannot be a name"),
        ("indicators:\n  - name: rsi\n    window: !x 7\n", ":3: '7' is of the kind '!x'"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(write, text, message):
    path = write(text)
    with pytest.raises(IndicatorFileError) as caught:
        read_indicators(path)
    assert f"{path}{message}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("indicators:\n  - name: rsi\n    window: 14\n", ":2: indicator 'rsi_14': column rsi_14 exists already"),
        (GOOD + "  - name: rsi\n    window: 7\n", ":6: indicator 'rsi_7' is registered already"),
    ],
)
def test_a_column_that_exists_is_refused_with_its_line(write, text, message):
    path = write(text)
    with pytest.raises(IndicatorFileError) as caught:
        load_custom(path, Registry(REGISTRY))
    assert f"{path}{message}" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(IndicatorFileError, match=r"cannot read .*gone\.yml: No such file"):
        read_indicators(tmp_path / "gone.yml")
