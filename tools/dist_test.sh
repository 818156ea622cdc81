#!/usr/bin/env bash
# Test on several devices of one machine: tools/dist_test.sh CONFIG CHECKPOINT GPUS [flags of test.py]
# PORT is the master port (default 29500), PYTHON the interpreter (default python).
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: dist_test.sh CONFIG CHECKPOINT GPUS [flags of test.py]" >&2
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
shift 3
tools=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$tools/../src${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run --nproc_per_node="$gpus" --master_port="${PORT:-29500}" \
    "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
