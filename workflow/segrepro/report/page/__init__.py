"""The report page: one folder that opens from disk, with tables, figures, how it was run, and an explorer."""
