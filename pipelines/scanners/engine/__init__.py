"""Running compiled scanners in this process: one scan, for one evaluation time, on named inputs.

Does not live here: which scanners there are (`registry.py`), the nightly build (`build/`).
"""
