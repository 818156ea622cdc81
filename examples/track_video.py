"""Say who is in a video, and from when to when: ``python examples/track_video.py movie.mp4``."""

import sys

from litehrnet import PoseEstimator, predict_frames, read_frames

(video,) = sys.argv[1:]
seen: dict[int, list[float]] = {}  # times in seconds by the id of a person

for found in predict_frames(PoseEstimator(), read_frames(video), track=True):
    assert found.identities is not None  # as track=True
    for identity in found.identities.tolist():
        if identity > 0:  # 0 until somebody has been seen often enough
            seen.setdefault(identity, []).append(found.frame.time)

for identity, times in seen.items():
    print(f"person {identity}: {times[0]:.1f} to {times[-1]:.1f} s, found in {len(times)} frames")
