"""What follows faces from frame to frame, by motion alone."""
