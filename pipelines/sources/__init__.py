"""Vendor formats and APIs behind one small protocol.

Lives here: one module per format, the protocol they share (`protocol.py`) and how plug-ins are found (`registry.py`).
Does not live here: what is done with the rows. Sources know neither the lake nor the gate.
"""
