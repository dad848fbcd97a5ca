"""marketlake: orchestrated market-data pipelines over a versioned Parquet lake."""

__version__ = "0.1.0"
