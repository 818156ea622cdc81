"""Poses as the JSON that OpenPose writes, one file for each photo or frame."""

import json
from typing import TYPE_CHECKING

from litehrnet.arrays import Indices

if TYPE_CHECKING:
    from litehrnet.poses import Poses


def openpose_text(poses: "Poses", identities: Indices | None = None) -> str:
    """Return the content of a file; ``person_id`` is -1, as OpenPose writes, where there is no identity above 0."""
    content = poses.to_openpose()
    for person, identity in zip(content["people"], identities if identities is not None else (), strict=False):
        person["person_id"] = [int(identity) or -1]
    return json.dumps(content, separators=(",", ":")) + "\n"
