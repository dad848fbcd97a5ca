{{ breakout_beyond('breakout_52w', sessions=252) }}
