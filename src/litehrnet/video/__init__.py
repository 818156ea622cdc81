"""Videos and cameras: frames in, poses from frame to frame, drawn videos and records out (extra ``video``)."""
