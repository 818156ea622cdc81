"""One of the two processes of test_sync_batch_norm.py: takes its rank and a folder, and writes FOLDER/RANK.pt."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from litehrnet.models import create_network
from litehrnet.models.sync_batch_norm import convert


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder / 'store'}", rank=rank, world_size=2)
    given = torch.load(folder / "given.pt", weights_only=True)
    network = create_network("naive_lite_hrnet_18", 3).double()
    network.load_state_dict(given["state"])
    convert(network)
    parallel = DistributedDataParallel(network, broadcast_buffers=False)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    outputs, gradients = [], []
    for images, target in given["batches"]:
        own = slice(rank, None, 2)
        optimizer.zero_grad()
        output = parallel(images[own])
        torch.autograd.backward(torch.nn.functional.mse_loss(output, target[own]))
        optimizer.step()
        outputs.append(output.detach())
        gradients.append([p.grad for p in network.parameters()])
    torch.save({"outputs": outputs, "gradients": gradients, "state": network.state_dict()}, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
