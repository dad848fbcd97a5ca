"""Reports: what a backtest and its risk look like to a reader.

Lives here: the self-contained HTML report, its charts and template, and the small picture for inline display.
Does not live here: any number that is not in the frames handed in; a report computes nothing but its layout.
"""
