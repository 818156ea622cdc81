#!/usr/bin/env bash
# Checks one GPU against the CPU, then trains a packed recipe on it for some minutes.
#
#   runs/train_on_gpu.sh MINUTES RECIPE OUT [a.b=c ...]
#
# RECIPE comes from litehrnet data pack with --longer-side and --quality. Run it where the packed folder is. Python needs
# PyTorch, OpenCV, NumPy, safetensors and rich; nothing is installed or downloaded. MINUTES is the length of the
# training, with reading and evaluating; the checks before it take about a minute more. OUT must be new or empty.
set -euo pipefail

usage="usage: runs/train_on_gpu.sh MINUTES RECIPE OUT [a.b=c ...]"
minutes=${1:?$usage} recipe=${2:?$usage} out=${3:?$usage}
shift 3
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$root/src:$root PYTHONUNBUFFERED=1

# Failed checks are in the file, and do not prevent the training.
mkdir -p "$out"
python3 -m benchmarks.check_gpu "$out/gpu.json" ||
  echo "some checks failed, see $out/gpu.json"

# Later settings replace earlier ones.
python3 "$root/runs/train_on_gpu.py" "$recipe" "$minutes" --out "$out/training" \
  training.batch_size=512 training.precision=bf16 training.workers=16 training.snapshot_minutes=1 "$@"
