"""What a face shows: classifiers and smoothing over time."""
