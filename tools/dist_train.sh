#!/usr/bin/env bash
# Train on several devices of one machine: tools/dist_train.sh CONFIG GPUS [flags of train.py]
# PORT is the master port (default 29500), PYTHON the interpreter (default python).
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: dist_train.sh CONFIG GPUS [flags of train.py]" >&2
    exit 2
fi
config=$1 gpus=$2
shift 2
tools=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$tools/../src${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run --nproc_per_node="$gpus" --master_port="${PORT:-29500}" \
    "$tools/train.py" "$config" --launcher pytorch "$@"
