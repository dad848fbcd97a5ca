"""The versioned lake: Delta tables, raw files, releases and the published catalogue.

Lives here: everything that knows where bytes are and how they change; the only package that assumes a local folder.
Does not live here: what a valid row is (`quality/`), what a source's file means (`sources/`), orchestration.
"""
