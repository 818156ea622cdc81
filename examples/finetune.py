"""Train on keypoints of your own: ``python examples/finetune.py train.json val.json photos work_dirs/mine``.

The annotations are in COCO's form. More settings follow as on the command line, such as ``training.epochs=5``.
"""

import sys

from litehrnet.config.read import load_config
from litehrnet.training.start import run_training

train, val, photos, folder, *settings = sys.argv[1:]
loaded = load_config(
    "lspet_256x192",  # a bundled recipe: Lite-HRNet-18 that starts from the bundled weights
    [
        f"keypoints={train}",  # names, flip pairs and limbs of the file's category
        f"train.0.annotations={train}",
        f"train.0.images={photos}",
        f"validation.annotations={val}",
        f"validation.images={photos}",
        f"work_dir={folder}",
        *settings,
    ],
)
sys.exit(run_training(loaded.config, loaded.recipe).exit_code)
