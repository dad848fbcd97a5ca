"""Ingestion: from the raw files of a request to published tables, with every refused row in quarantine.

Lives here: requests, staging, batches, the gate, publishing, quarantine and its overrides, withdrawals, where a bar comes from.
Does not live here: reading vendor formats (`sources/`), the rules (`quality/`), merging and committing rows (`storage/`).
"""
