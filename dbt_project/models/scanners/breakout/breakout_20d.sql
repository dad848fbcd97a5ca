{{ breakout_beyond('breakout_20d', sessions=20) }}
