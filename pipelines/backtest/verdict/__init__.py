"""What speaks against a backtest: the figures of the verdict that its report opens with, and the sentence that follows from them.

Lives here: `evidence` (all figures of a run), the runs made again with one thing changed (`shuffled`, `look_ahead`), `capacity`,
`restated`, and `sentence`, the written rules.
Does not live here: statistics of returns and the ledger (`backtest/statistics`, `backtest/trials`), how it looks (`reports/`).
"""
