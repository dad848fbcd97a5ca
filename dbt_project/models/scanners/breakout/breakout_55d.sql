{{ breakout_beyond('breakout_55d', sessions=55) }}
