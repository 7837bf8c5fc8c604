"""streamer finds every face in a video, follows it, says who it is and what emotion it shows."""
