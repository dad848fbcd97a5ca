"""Schemas of the tables that run the lake: quarantine, quality figures, raw files, releases, superseded rows.

Lives here: bookkeeping that people read.
Does not live here: market facts (`bars.py`, `reference.py`) and results (`scanning.py`, `research.py`).
"""

from __future__ import annotations

from pipelines.market.schema import DATE, REAL, TEXT, UTC_TIMESTAMP, WHOLE, Column, TableSchema
from pipelines.market.tables.bars import EXCHANGE, INSTRUMENT_ID, SYMBOL

RAW_FILES = TableSchema(
    name="raw_files",
    description="Every delivery: a raw file as received, the source that reads it, and what became of it.",
    key=("batch_id",),
    columns=(
        Column("batch_id", TEXT, "Hash of content, source and reading options."),
        EXCHANGE,
        Column("source", TEXT, "Source that reads the file."),
        Column("name", TEXT, "File name as received, with the folders that carry meaning."),
        Column("content_hash", TEXT, "SHA-256 of the bytes as received."),
        Column("size_bytes", WHOLE, "Size as received.", unit="bytes"),
        Column("options", TEXT, "Reading options as canonical JSON."),
        Column("received_at", UTC_TIMESTAMP, "When this content first arrived.", unit="UTC", observational=True),
        Column("status", TEXT, "accepted, refused or withdrawn."),
        Column("reason", TEXT, "Why a file was refused or withdrawn, or what to know of one that was accepted.", nullable=True),
        Column("rows_read", WHOLE, "Rows in the file.", unit="rows"),
        Column("first_session", DATE, "Earliest session in the file.", unit="date", nullable=True),
        Column("last_session", DATE, "Latest session in the file.", unit="date", nullable=True),
        Column("price_basis", TEXT, "as_traded, split_adjusted or adjusted (dividends too); NULL: not known.", nullable=True),
        Column("withdrawn_at", UTC_TIMESTAMP, "When it was taken back.", unit="UTC", nullable=True, observational=True),
        Column("withdrawn_by", TEXT, "User of the operating system who took it back.", nullable=True, observational=True),
    ),
    sort_by=("batch_id",),
)

QUARANTINE = TableSchema(
    name="quarantine",
    description="Rows that were not let in, each with the rule that stopped it.",
    key=("batch_id", "row_number", "table_name", "rule"),
    columns=(
        Column("batch_id", TEXT, "Delivery the row came with."),
        Column("row_number", WHOLE, "Row of the raw file (1 = its first line).", unit="rows"),
        Column("table_name", TEXT, "Table the row was meant for."),
        EXCHANGE,
        Column("source", TEXT, "Source that delivered the row."),
        Column("reason", TEXT, "What was wrong, in words."),
        Column("rule", TEXT, "Name of the rule."),
        Column("row", TEXT, "The row as JSON."),
        Column("session_date", DATE, "Session of the row, where it has one.", unit="date", nullable=True),
        Column("quarantined_at", UTC_TIMESTAMP, "When the delivery arrived.", unit="UTC", observational=True),
        Column("released_at", UTC_TIMESTAMP, "When it was let in after all.", unit="UTC", nullable=True, observational=True),
        Column("decided_by", TEXT, "User of the operating system who let it in.", nullable=True, observational=True),
        Column("decision", TEXT, "Why it was let in, in that person's words.", nullable=True, observational=True),
        Column("overruled", TEXT, "Rules that do not count for the row by this decision.", nullable=True, observational=True),
    ),
    sort_by=("batch_id", "row_number", "table_name", "rule"),
)

DATA_QUALITY_METRICS = TableSchema(
    name="data_quality_metrics",
    description="Completeness and plausibility per table, symbol and session.",
    key=("table_name", "exchange", "symbol", "date"),
    columns=(
        Column("table_name", TEXT, "Table that was measured."),
        EXCHANGE,
        SYMBOL,
        Column("date", DATE, "Session.", unit="date"),
        INSTRUMENT_ID,
        Column("total_records", WHOLE, "Rows delivered for the session.", unit="rows"),
        Column("valid_records", WHOLE, "Rows published.", unit="rows"),
        Column("expected_records", WHOLE, "Rows that the calendar expects.", unit="rows"),
        Column("missing_data_pct", REAL, "Expected rows that are missing.", unit="percent"),
        Column("outlier_count", WHOLE, "Bars that moved implausibly against their neighbour.", unit="rows"),
        Column("data_quality_score", REAL, "valid / max(total, expected), 0 to 1.", unit="ratio"),
        Column("last_updated", UTC_TIMESTAMP, "known_at of the newest row measured.", unit="UTC", observational=True),
        Column("session_year", WHOLE, "Calendar year of the session: the partition of the table.", unit="year"),
    ),
    partition_by="session_year",
    sort_by=("symbol", "date", "table_name"),
)

RELEASES = TableSchema(
    name="releases",
    description="Published releases: one consistent set of table versions each.",
    key=("release_id",),
    columns=(
        Column("release_id", TEXT, "Sequence number and fingerprint.", observational=True),
        Column("sequence", WHOLE, "Consecutive number of the release.", unit="count"),
        Column("created_at", UTC_TIMESTAMP, "When it was published.", unit="UTC", observational=True),
        Column("fingerprint", TEXT, "Hash of the contents of its tables, code version and configuration."),
        Column("table_versions", TEXT, "Versions as JSON: {exchange: {table: version}}.", observational=True),
        Column("code_version", TEXT, "Distribution version and hash of the code."),
        Column("config", TEXT, "Configuration that shapes results, as canonical JSON."),
        Column("sessions", TEXT, "Sessions built for this release as JSON: {exchange: [first, last, count]}."),
        Column("supersedes", TEXT, "Release that was published before.", nullable=True, observational=True),
    ),
    sort_by=("sequence",),
)


def superseded(table: TableSchema) -> TableSchema:
    """The companion table that keeps replaced rows of `table`: the row, and when and by which batch it was replaced."""
    return table.derive(
        f"{table.name}_superseded",
        f"Rows of {table.name} that a later delivery replaced.",
        key=(*table.key, "superseded_at", "superseded_by_batch"),
        add=(
            Column("superseded_at", UTC_TIMESTAMP, "known_at of the row that replaced it.", unit="UTC"),
            Column("superseded_by_batch", TEXT, "Delivery that replaced it; withdrawal:<batch> where its own was taken back."),
        ),
    )
