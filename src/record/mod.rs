//! What a run leaves on disk: CSV files, summaries, all written atomically.
