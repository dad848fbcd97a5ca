{{ opening_range('opening_range_30', minutes=30) }}
