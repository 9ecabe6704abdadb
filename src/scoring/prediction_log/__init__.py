"""The prediction log: what was asked and answered, as Parquet files by model, version and day."""
