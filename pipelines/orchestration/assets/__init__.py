"""Assets by stage of the pipeline, one factory per stage; each makes the assets of one exchange.

Lives here: thin asset bodies that call pure functions and say what they did.
Does not live here: checks (`orchestration/checks/gate.py`), jobs, schedules and sensors.
"""
