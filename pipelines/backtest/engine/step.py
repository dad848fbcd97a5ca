"""The order of events at a bar: `step`, and `run`, which does nothing but repeat it.

Lives here: the order, for people in docs/backtest.md. Does not live here: what each event does (the modules beside this one).

1. corporate events;
2. fills: exits ordered before at the open, so that they free slots; then entries at the open; then limit and stop orders that
   the bar reached;
3. exits within the bar: the stop before the target; at the session's last bar what must not be held overnight, at its close;
4. mark at the close;
5. kill switch on the marked equity: it cancels every entry order and orders every position out;
6. at the end of a session, entry orders that waited long enough expire;
7. new orders, decided and sized at this close: exits by time, exits by signal, then entries. Where a run fills at the close, they
   fill here instead of at 2.

An instrument without a bar (NaN), or whose bar the order's side cannot trade (`Limits`), fills nothing: an exit waits for its next
bar, an entry until it expires. Units are fixed at the decision: the fill's price never changes them, so cash may dip below zero by
an overnight gap (`lowest_cash` records it), unless the rules let a fill take no more than there is. Only the bar's volume and the
cash may leave a part of them unbought, and that part is cancelled. Exits are not limited by volume: what is held was limited when
it was bought. Instruments are taken in order of their number, orders in the order given: the result depends on nothing else.
"""

from __future__ import annotations

import numpy as np

from pipelines.backtest.engine.compiled import compiled
from pipelines.backtest.engine.events import apply_event
from pipelines.backtest.engine.fills import fill_exits, fill_market_entries, fill_priced_entries, leave
from pipelines.backtest.engine.levels import leave_and_mark, mark
from pipelines.backtest.engine.orders import cancel_entries, expire, order_due_exits, take_orders, tidy_list
from pipelines.backtest.layout import AT_CLOSE, AT_OPEN, END
from pipelines.backtest.state import Bar, Bars, Clock, Limits


@compiled
def step(state, bars, signals, parameters, log):  # type: ignore[no-untyped-def]
    """Advance a state in place by one bar.

    state: `State`. bars: `Bars` of the step. signals: `ORDER` records decided at its close. parameters:
    `CompiledRules`. log: `Log`.
    """
    a = state.account[0]
    rules, session = parameters, bars.clock.session
    if session != a.session:
        a.entries = 0
    a.session = session
    for event in bars.events:
        apply_event(state, bars.clock.step, event, np.zeros_like(bars.costs), log)
    if not rules.fill_at_close:
        fill_exits(state, bars, bars.prices.open, 1, rules, log)
        fill_market_entries(state, bars, bars.prices.open, AT_OPEN, rules, log)
    fill_priced_entries(state, bars, rules, log)
    leave_and_mark(state, bars, rules, log)
    a.peak = max(a.peak, a.equity)
    a.lowest_cash = min(a.lowest_cash, a.cash)
    if a.killed == 0 and a.equity <= a.peak * (1.0 - rules.kill_drawdown):
        a.killed = 1
        cancel_entries(state)
    if a.open > 0:
        order_due_exits(state, session, rules)
    if bars.clock.session_ends and a.waiting > 0:
        expire(state, session, rules)
    tidy_list(state)
    if signals.size > 0 and a.killed == 0:
        take_orders(state, rules, session, bars.prices.sizing, bars.costs, signals)
    if rules.fill_at_close:
        fill_exits(state, bars, bars.prices.close, 0, rules, log)
        fill_market_entries(state, bars, bars.prices.close, AT_CLOSE, rules, log)
        mark(state, bars.prices.close)
        a.lowest_cash = min(a.lowest_cash, a.cash)
        tidy_list(state)


@compiled
def run(state, history, signals, offsets, parameters, log, curve):  # type: ignore[no-untyped-def]
    """Every step in turn, then close what is left at its last price with reason 'end'.

    history: `History` of T steps. The signals of step t lie between offsets t and t + 1. curve: float64[T, 3] receives equity,
    gross value of positions, and cash after each step (the last one after the closing fills).
    """
    steps = history.sessions.size
    advance(state, history, signals, offsets, parameters, log, curve, 0, steps)
    if steps > 0:
        finish(state, steps - 1, history.costs[steps - 1], log)
        curve[steps - 1, 0] = state.account[0].equity
        curve[steps - 1, 2] = state.account[0].cash


@compiled
def advance(state, history, signals, offsets, parameters, log, curve, first, end):  # type: ignore[no-untyped-def]
    """The steps from `first` up to and without `end`: a run that was saved goes on from here."""
    steps = history.sessions.size
    prices, limits, sessions = history.prices, history.limits, history.sessions
    for t in range(first, end):
        bars = Bars(
            Clock(t, sessions[t], t + 1 == steps or sessions[t + 1] != sessions[t]),
            Bar(prices.open[t], prices.high[t], prices.low[t], prices.close[t], prices.sizing[t]),
            Limits(limits.blocked[t], limits.must_deliver[t], limits.volume[t]),
            history.costs[t],
            history.events[history.event_offsets[t] : history.event_offsets[t + 1]],
        )
        step(state, bars, signals[offsets[t] : offsets[t + 1]], parameters, log)
        curve[t, 0] = state.account[0].equity
        curve[t, 1] = state.account[0].gross
        curve[t, 2] = state.account[0].cash


@compiled
def finish(state, now, costs, log):  # type: ignore[no-untyped-def]
    """Cancel what waits and close what is open at its last close. Gross value in the account stays that of the last mark."""
    a, book, listed = state.account[0], state.book, state.listed
    cancel_entries(state)
    for k in range(a.listed):
        i = listed[k]
        if book[i].quantity != 0:
            leave(a, book[i], i, now, book[i].last, END, 0, costs, log)
    a.equity = a.cash
    a.lowest_cash = min(a.lowest_cash, a.cash)
