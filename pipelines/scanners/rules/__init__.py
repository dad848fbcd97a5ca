"""Rule scanners: a line such as `rsi_14 < 30 and close > sma_200` in a YAML file becomes a scanner like any other.

Lives here: the grammar (`expression`), the names it knows (`columns`), the file (`file`), and the model made of a rule (`model`).
Does not live here: putting the models into a dbt project (`scanners/extensions/discovery.py`), running them.
"""
