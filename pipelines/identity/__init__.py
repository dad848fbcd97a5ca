"""Symbology: which instrument a symbol, an ISIN or a row of a vendor means on a day.

Lives here: resolving symbols, ISIN links, ticker histories, aliases and instrument merges.
Does not live here: what a valid row is (`quality/`), staging and publishing (`ingest/`).
"""
