"""What a bar, a session, an instrument and a corporate action is.

Lives here: the schema of every table, exchanges and their calendars, corporate-action arithmetic.
Does not live here: reading or writing anything but the package's own small data files; this package imports none of its siblings.
"""
