"""Images and labels in Parquet files: found, divided into parts, read a row group at a time."""
