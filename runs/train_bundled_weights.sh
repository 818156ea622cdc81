#!/usr/bin/env bash
# Trains the bundled weights again: eleven stages of the pose network, then the person detector (many hours).
#
#   runs/train_bundled_weights.sh
#
# Run it in the repository root, where the folders data and reference are, with litehrnet on the path (make weights
# uses the one in .venv). After an interruption, the same command resumes the training.
set -euo pipefail

POSE=litehrnet_18_256x192
DETECTOR=litehrnet_18_person_320x320
BACKGROUNDS=(augmentation.background_probability=0.7)
COLORS=(augmentation.brightness=0.2 augmentation.contrast=0.4 augmentation.saturation=0.5
  augmentation.blur_probability=0.3 augmentation.cutout_probability=0.3)
TURNS=(augmentation.rotation_deg=30 augmentation.half_body_probability=0.3)

train_on_two_cores() {
  torchrun --standalone --nproc-per-node 2 -m litehrnet train "$@" --launcher pytorch --resume-from latest
}

# The next stage starts from the weights of the previous one, without its optimizer state.
previous=work_dirs/$POSE

# A stage of two epochs in one process: seed
short_stage() {
  litehrnet train "$POSE" --resume-from latest --work-dir "work_dirs/${POSE}_$1" \
    "load_from=$previous/last.safetensors" "training.seed=$1" training.epochs=2 \
    training.optimizer.learning_rate=6e-4
  previous=work_dirs/${POSE}_$1
}

# A stage in two processes: seed, epochs, learning rate, further settings
long_stage() {
  local seed=$1 epochs=$2 rate=$3
  shift 3
  train_on_two_cores "$POSE" --work-dir "work_dirs/${POSE}_$seed" "load_from=$previous/last.safetensors" \
    "training.seed=$seed" "training.epochs=$epochs" "training.optimizer.learning_rate=$rate" \
    training.evaluate_every=3 "$@"
  previous=work_dirs/${POSE}_$seed
}

litehrnet train litehrnet_18_128x96 --resume-from latest
litehrnet train "$POSE" --resume-from latest
short_stage 3
short_stage 4
long_stage 5 11 1.4e-3
long_stage 6 8 1.4e-3 "${BACKGROUNDS[@]}"
long_stage 7 12 1.4e-3 "${BACKGROUNDS[@]}"
long_stage 8 12 1.4e-3 "${BACKGROUNDS[@]}" "${COLORS[@]}" augmentation.anywhere_probability=0.1
long_stage 9 26 3e-3 "${BACKGROUNDS[@]}" "${COLORS[@]}" "${TURNS[@]}" augmentation.anywhere_probability=0.25
train_on_two_cores "${POSE}_more" --work-dir "work_dirs/${POSE}_13" "load_from=$previous/last.safetensors"
train_on_two_cores "${POSE}_more" --work-dir "work_dirs/${POSE}_14" training.seed=14 training.epochs=5 \
  "load_from=work_dirs/${POSE}_13/best.safetensors"
python "$(dirname "$0")/average_weights.py" work_dirs/mean.safetensors \
  "work_dirs/${POSE}_13/best.safetensors" 1 "work_dirs/${POSE}_14/last.safetensors" 2
litehrnet convert work_dirs/mean.safetensors work_dirs/lite_hrnet_18.safetensors --codec dark --half

train_on_two_cores "$DETECTOR"
train_on_two_cores "$DETECTOR" --work-dir "work_dirs/${DETECTOR}_2" "load_from=work_dirs/$DETECTOR/last.safetensors" \
  training.epochs=2 training.ema=0.99 training.optimizer.learning_rate=6e-4 training.schedule.warmup_iterations=30
python "$(dirname "$0")/average_weights.py" work_dirs/person_mean.safetensors \
  "work_dirs/$DETECTOR/last.safetensors" 1 "work_dirs/${DETECTOR}_2/last.safetensors" 2
train_on_two_cores "$DETECTOR" --work-dir "work_dirs/${DETECTOR}_3" load_from=work_dirs/person_mean.safetensors \
  training.epochs=7 training.seed=5 training.optimizer.learning_rate=1.2e-3 training.schedule.warmup_iterations=50 \
  training.evaluate_every=1
litehrnet convert "work_dirs/${DETECTOR}_3/last.safetensors" work_dirs/person.safetensors --half
