{{ config(materialized='table') }}

with

bars as (

    select * from {{ ref('int_bars_daily_scope') }}

),

spans as (

    select * from {{ ref('int_basis_spans') }}

),

actions as (

    select * from {{ ref('stg_corporate_actions') }}

),

instruments as (

    select * from {{ ref('stg_instruments') }}

),

ticks as (

    select
        instrument_id,
        max(tick_size) as tick_size
    from instruments
    group by instrument_id

),

-- Ratios that splits and bonuses have: four for three and more. What is less cannot be distinguished from a bad day.
simple_ratios as (

    select unnest([4.0 / 3, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100]::double[]) as ratio

),

-- An overnight step: the open against the last close, over gaps of any length that a build reaches back over.
opened as (

    select
        *,
        lag(session_date) over by_session as previous_date,
        lag(session_number) over by_session as previous_number,
        lag(close) over by_session as previous_close
    from bars
    window by_session as (partition by instrument_id order by session_number)

),

-- Most nights end here: less than a quarter is no split.
stepped as (

    select *
    from opened
    where
        session_number - previous_number <= {{ scan_reach() }}
        and (
            abs(ln(open / previous_close)) > ln(1.25)
            or (prev_close > 0 and abs(ln(open / prev_close)) > ln(1.25))
        )

),

-- Against what the step is measured: the previous close that the file prints, and the last one on record. They differ where bars
-- are missing between, and where a vendor prints the previous close in the new basis. Recorded actions explain their part of the
-- latter.
measured as (

    select
        stepped.*,
        stepped.prev_close as reference,
        true as is_printed,
        1.0::double as price_factor
    from stepped
    left join spans
        on
            {{ basis_between('stepped.instrument_id', 'stepped.previous_date', 'stepped.session_date') }}
    where stepped.prev_close > 0 and spans.price_factor is null
    union all by name
    select
        stepped.*,
        stepped.previous_close as reference,
        false as is_printed,
        coalesce(spans.price_factor, 1.0::double) as price_factor
    from stepped
    left join spans
        on
            {{ basis_between('stepped.instrument_id', 'stepped.previous_date', 'stepped.session_date') }}

),

undecided as (

    select
        measured.*,
        ln(measured.open / (measured.reference * measured.price_factor)) as open_move,
        ln(measured.close / (measured.reference * measured.price_factor)) as close_move,
        coalesce(ticks.tick_size, 0) as tick_size
    from measured
    left join ticks on measured.instrument_id = ticks.instrument_id
    where
        -- An action without a known ratio, and a decision that the move is a true one, explain any step.
        not exists (
            select 1
            from actions
            where
                actions.instrument_id = measured.instrument_id
                and (actions.action = 'true_move' or (actions.action in ('demerger', 'rights') and actions.ratio is null))
                and actions.ex_date > measured.previous_date
                and actions.ex_date <= measured.session_date
        )

),

usual as (

    select
        undecided.instrument_id,
        undecided.session_number,
        median(earlier.volume) as usual_volume
    from (
        select distinct
            instrument_id,
            session_number
        from undecided
    ) as undecided
    inner join bars as earlier
        on
            undecided.instrument_id = earlier.instrument_id
            and earlier.session_number between undecided.session_number - 20 and undecided.session_number - 1
    group by undecided.instrument_id, undecided.session_number

),

-- Volume in shares of the old basis. It need not move the other way, but many times the usual one means news: a true fall, or leap.
weighed as (

    select
        undecided.*,
        undecided.volume / nullif(usual.usual_volume, 0) as volume_ratio,
        coalesce(undecided.volume / nullif(usual.usual_volume, 0) * exp(undecided.open_move), 1)
        > case when undecided.open_move < 0 then 6 else 3 end as is_news
    from undecided
    left join usual
        on undecided.instrument_id = usual.instrument_id and undecided.session_number = usual.session_number

),

-- A penny share may halve by one step of its price; an open far from the day's close is a stray print.
credible as (

    select *
    from weighed
    where
        abs(open_move) > ln(1.25)
        and not is_news
        and abs(open - reference * price_factor) > 1.5 * tick_size
        and abs(close_move - open_move) <= ln(1.25)

),

split_like as (

    select
        credible.*,
        case when credible.open_move < 0 then simple_ratios.ratio else 1 / simple_ratios.ratio end as split_ratio,
        abs(abs(credible.open_move) - ln(simple_ratios.ratio)) as distance
    from credible
    inner join simple_ratios
        on
            -- The open of an illiquid one may be wide where the close is not.
            abs(abs(credible.open_move) - ln(simple_ratios.ratio)) <= case when simple_ratios.ratio < 2 then 0.045 else 0.05 end
            or (
                simple_ratios.ratio >= 2
                and abs(abs(credible.open_move) - ln(simple_ratios.ratio)) <= 0.12
                and abs(abs(credible.close_move) - ln(simple_ratios.ratio)) <= 0.02
            )
    where
        -- Shares are consolidated by whole numbers, and over a long gap a share may have come to many a price by itself.
        simple_ratios.ratio >= 2 or (credible.open_move < 0 and (credible.is_printed or session_number - previous_number <= 10))

),

-- A part of the company that was split off takes with it what no ratio of shares explains; overnight, and seldom more than most
-- of it.
demerger_like as (

    select
        credible.*,
        null::double as split_ratio,
        1.0::double as distance
    from credible
    where
        open_move between -ln(4) and -ln(1.27)
        and close_move < -ln(1.2)
        and (is_printed or session_number - previous_number <= 10)

),

named as (

    select
        *,
        'unrecorded_split' as flag
    from split_like
    union all by name
    select
        *,
        'unrecorded_demerger' as flag
    from demerger_like

),

final as (

    select
        exchange,
        instrument_id,
        symbol,
        session_date,
        session_number,
        regular_before,
        closes_at,
        previous_date as since,
        flag,
        close / previous_close as price_ratio,
        split_ratio,
        volume_ratio
    from named
    qualify row_number() over (
        partition by instrument_id, session_number
        order by flag desc, distance asc, is_printed desc, split_ratio asc
    ) = 1

)

select * from final
