"""Running compiled scanners in this process: one scan, for one evaluation time, on named inputs.

Does not live here: which scanners there are (`scanners/registry.py`), the nightly build (`build/`).
"""
