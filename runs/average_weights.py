"""Average the weights of networks that were trained from each other.

Run: ``python runs/average_weights.py OUT FIRST 1 SECOND 2`` for a third of the first file and two thirds of the second.
All are ``.safetensors``. OUT has the description of the last network.
"""

import sys
from pathlib import Path

from litehrnet.models.weights import load_network, save_network


def main(out: Path, paths: list[Path], shares: list[float]) -> None:
    """Write the weighted mean; counters are those of the last network."""
    opened = [load_network(path) for path in paths]
    network, info = opened[-1]
    states = [{name: value.double() for name, value in each.state_dict().items()} for each, _ in opened]
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            weighted = sum(share * state[name] for share, state in zip(shares, states, strict=True))
            value.copy_(weighted / sum(shares))
    save_network(out, network, info)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2::2]], [float(share) for share in sys.argv[3::2]])
