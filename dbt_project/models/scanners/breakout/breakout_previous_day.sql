{{ breakout_beyond('breakout_previous_day', sessions=1) }}
