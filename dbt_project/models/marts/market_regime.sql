with

regimes as (

    select * from {{ ref('int_market_regime') }}

),

window_sessions as (

    select * from {{ ref('int_window_sessions') }}

),

final as (

    select
        regimes.* exclude (session_number),
        cast(year(regimes.session_date) as bigint) as session_year
    from regimes
    inner join window_sessions
        on regimes.session_date = window_sessions.session_date and regimes.exchange = window_sessions.exchange

)

select * from final
order by instrument_id, session_date
