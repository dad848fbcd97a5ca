{{ opening_range('opening_range_15', minutes=15) }}
