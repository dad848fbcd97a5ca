"""Disasters that vendors and people have made, one after another into one lake; each with the line that the user reads.

Two exchanges: forty shares of New York with three months of daily bars, and the same shares as NSE's day files.
"""

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.settings import Settings
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

pytestmark = pytest.mark.slow

SHARES = [f"S{number:02}" for number in range(40)]
SESSIONS = [session.session_date for session in calendar("XNYS").between(date(2014, 3, 3), date(2014, 5, 30))]
NEW = 60
DAILY = "symbol,date,open,high,low,close,volume"
MINUTES = "symbol,time,open,high,low,close,volume"
#: A company that was UWX until April and has been REUSED since; whoever was REUSED before is another one.
TICKERS_OF_A_COMPANY = "20140303,uwx\n20140430,uwx\n20501231,reused\n"
NSE = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,"
NSE_SESSION = date(2019, 1, 1)
UDIFF = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,OptnTp,FinInstrmNm,"
    "OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,ChngInOpnIntrst,TtlTradgVol,TtlTrfVal,"
    "TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4"
)
UDIFF_OF_BSE = (
    "2024-10-03,2024-10-03,CM,BSE,STK,1,INE000A01014,ACME,A,,,,,ACME LIMITED,10.00,11.00,10.00,10.50,10.60,9.90,,10.50,,,1000,"
    "10500.25,7,F1,1,,,,,"
)


def close(share: int, session: int) -> float:
    """A price that wanders within two in a hundred of its start, in cents; S00 costs about 30, S39 about 420."""
    return round((30 + 10 * share) * (1 + 0.001 * ((session * (7 + share) * 37) % 41 - 20)), 2)


def daily(share: int, session: int, *, day: date | None = None, scale: float = 1.0, symbol: str | None = None) -> str:
    """A line of csv; `day` and `symbol` in place of the true ones, prices times `scale`."""
    last, before = close(share, session) * scale, close(share, session - 1) * scale
    high, low = max(last, before) * 1.004, min(last, before) * 0.996
    traded = 100_000 + (share * 7_919 + session * 104_729) % 50_000
    return f"{symbol or SHARES[share]},{day or SESSIONS[session]},{before:.2f},{high:.2f},{low:.2f},{last:.2f},{traded}"


def minutes(opens: time, bars: int) -> list[str]:
    """A session of S00 whose first minute is stamped `opens`."""
    start, price = datetime.combine(SESSIONS[NEW], opens), close(0, NEW - 1)
    lines = []
    for number in range(bars):
        last = price * (1 + 0.0004 * ((number * 7) % 11 - 5))
        stamp = start + timedelta(minutes=number)
        lines.append(
            f"S00,{stamp:%Y-%m-%d %H:%M:%S},{last:.2f},{last * 1.001:.2f},{last * 0.999:.2f},{last:.2f},{1_000 + number % 97}"
        )
    return lines


def nse(shares: int, day: date) -> list[str]:
    """A day file of NSE with the first so many shares."""
    later = day > NSE_SESSION
    prices = "10.5,11,10,10.7,10.7,10.5" if later else "10,11,10,10.5,10.5,9.9"
    traded = [1_000 + number * (13 if later else 11) for number in range(shares)]
    dated = f"{day:%d-%b-%Y}".upper()
    return [f"{SHARES[n]},EQ,{prices},{traded[n]},{traded[n] * 10},{dated},7,INE{n:03}A01010," for n in range(shares)]


def nse_name(day: date) -> str:
    return f"cm{day:%d%b%Y}bhav.csv".upper().replace("CM", "cm").replace("BHAV.CSV", "bhav.csv")


@dataclass(frozen=True)
class Disaster:
    """What is delivered, how, the code the command ends with, what its line has to say, and how many of its
    daily bars are sound and go in.
    """

    name: str
    file: Callable[[Path], Path]
    says: str
    code: int = 1
    taken: int = 0
    source: str = "csv"
    exchange: str = "XNYS"


def text(name: str, header: str, lines: list[str]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


def zip_bomb(folder: Path) -> Path:
    path = folder / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bars.csv", "w") as member:
        for _ in range(64):
            member.write(b"0" * (1 << 20))
    return path


def everyone(session: int, **change: object) -> list[str]:
    return [daily(share, session, **change) for share in range(40)]  # type: ignore[arg-type]


DISASTERS = (
    Disaster(
        "wrong scale",
        text("scale.csv", DAILY, everyone(NEW, scale=15)),
        r"the gate of bars_daily refused: 2014-05-28: market_keeps_its_scale",
    ),
    Disaster(
        "wrong date",
        text("date.csv", DAILY, everyone(NEW - 3, day=SESSIONS[NEW])),
        r"date\.csv: says it is of 2014-05-28, but 100% of its 40 bars equal those of 2014-05-22 .*fetch the right file",
    ),
    Disaster(
        "wrong exchange",
        text("BhavCopy_NSE_CM_0_0_0_20241003_F_0000.csv", UDIFF, [UDIFF_OF_BSE]),
        r"row 2, column Src: published by BSE, which is XBOM, not XNSE",
        source="nse_bhavcopy",
        exchange="XNSE",
    ),
    Disaster(
        "minutes of India sent to New York",
        text("india.csv", MINUTES, minutes(time(9, 15), 375)),
        r"india\.csv: .*the hours of XNSE and not of XNYS; choose the right --exchange",
    ),
    Disaster(
        "wrong zone",
        text("zone.csv", MINUTES, minutes(time(13, 30), 390)),
        r"zone\.csv: .*the times are UTC without saying so, add --timezone UTC",
    ),
    Disaster(
        "weekly file",
        text("weekly.csv", DAILY, [daily(share, session) for session in range(1, NEW, 5) for share in range(3)]),
        r"weekly\.csv: .*these are weekly bars, and only daily and one-minute bars are taken",
    ),
    Disaster(
        "a clock that starts in 1970",
        text("clock.csv", DAILY, [daily(share, NEW, day=date(1970, 1, 2)) for share in range(3)]),
        r"bars_daily +beyond_calendar +3 ",
    ),
    Disaster("zip bomb", zip_bomb, r"bomb\.zip: grows to more than 250 times its size when unpacked"),
    Disaster(
        "half a market",
        text(nse_name(NSE_SESSION + timedelta(days=1)), NSE, nse(20, NSE_SESSION + timedelta(days=1))),
        r"holds 20 instruments for 2019-01-02, where 40 are usual; fetch it again if it was cut short",
        code=0,
        taken=20,
        source="nse_bhavcopy",
        exchange="XNSE",
    ),
    Disaster(
        "reused ticker",
        text("reused.csv", DAILY, [daily(4, session, symbol="REUSED") for session in range(10, 20)]),
        r"bars of REUSED from 2014-03-17 to 2014-03-28 \(10\) are .*another company",
        code=0,
        taken=10,
    ),
    Disaster(
        "odd symbol",
        text("odd.csv", DAILY, [*everyone(NEW), daily(3, NEW, symbol="S\u202e03")]),
        r"malformed_symbol +1 ",
        code=0,
        taken=40,
    ),
    Disaster(
        "split unrecorded",
        text("split.csv", DAILY, [daily(share, NEW + 1, scale=0.1 if share == 5 else 1.0) for share in range(40)]),
        r"suspected action: S05 on 2014-05-29: .*looks like a split or bonus, 10 new shares for 1; none is recorded",
        code=0,
        taken=40,
    ),
)


@pytest.fixture
def lake(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("MARKETLAKE_EXCHANGES", "XNYS,XNSE")
    return Lake.from_settings(home)


def test_disasters_are_told_and_leave_the_lake_as_it_was_but_for_what_is_sound(
    lake: Lake, marketlake: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    def ingest(path: Path, source: str, exchange: str) -> tuple[int, str]:
        code, out, err = marketlake("ingest", str(path), "--source", source, "--exchange", exchange)
        assert "Traceback" not in out + err
        return code, out + err

    def bars(exchange: str) -> dict[str, int]:
        tables = ("bars_daily", "bars_1m")
        return {
            name: LakeTable(lake.table_uri(exchange, name), TABLES[name]).read(columns=["instrument_id"]).height for name in tables
        }

    (tmp_path / "map_files").mkdir()
    history = tmp_path / "map_files" / "reused.csv"
    history.write_text(TICKERS_OF_A_COMPANY, encoding="utf-8")
    first = text("first.csv", DAILY, [daily(share, session) for session in range(1, NEW) for share in range(40)])
    for path, source, exchange in (
        (first(tmp_path), "csv", "XNYS"),
        (history, "lean", "XNYS"),
        (text(nse_name(NSE_SESSION), NSE, nse(40, NSE_SESSION))(tmp_path), "nse_bhavcopy", "XNSE"),
    ):
        code, said = ingest(path, source, exchange)
        assert code == 0, said

    for disaster in DISASTERS:
        before = bars(disaster.exchange)
        code, said = ingest(disaster.file(tmp_path), disaster.source, disaster.exchange)
        assert re.search(disaster.says, said), (disaster.name, said)
        assert code == disaster.code, (disaster.name, said)
        taken = bars(disaster.exchange)["bars_daily"] - before["bars_daily"]
        assert (taken, bars(disaster.exchange)["bars_1m"]) == (disaster.taken, 0), (disaster.name, said)
