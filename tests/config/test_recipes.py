from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from litehrnet.config import read, recipes, schema
from litehrnet.config.recipes import read_recipe, recipe_names
from litehrnet.errors import UserError

PUBLISHED = [
    "litehrnet_18_coco_256x192",
    "litehrnet_18_coco_384x288",
    "litehrnet_18_mpii_256x256",
    "litehrnet_30_coco_256x192",
    "litehrnet_30_coco_384x288",
    "litehrnet_30_mpii_256x256",
    "naive_litehrnet_18_coco_256x192",
    "naive_litehrnet_18_mpii_256x256",
    "wider_naive_litehrnet_18_coco_256x192",
    "wider_naive_litehrnet_18_mpii_256x256",
]
NETWORKS = {
    "mobilenetv2": ("mobilenet_v2", "mobilenetv2"),
    "shufflenetv2": ("shufflenet_v2", "shufflenetv2"),
    "mobilenetv3": ("mobilenet_v3", "mobilenetv3"),
    "small_hrnet_w16": ("small_hrnet", "small_hrnet_w16"),
    "ditehrnet_18": ("dite_hrnet", "dite_hrnet_18"),
    "ditehrnet_30": ("dite_hrnet", "dite_hrnet_30"),
}
"""Folder and variant of the recipes of the other networks, by the start of their names."""
OTHERS = [f"{name}_{data}" for name in NETWORKS for data in ("coco_256x192", "coco_384x288", "mpii_256x256")]
DETECTION = ["litehrnet_18_person_320x320"]
SEGMENTATION = ["litehrnet_18_cityscapes_512x1024", "litehrnet_30_cityscapes_512x1024"]
OWN = [
    "litehrnet_18_128x96",
    "litehrnet_18_256x192",
    "litehrnet_18_256x192_more",
    "compare_128x96",
    "litehrnet_18_crops_128x96",
    "lspet_256x192",
]


def test_the_recipes_of_all_networks_are_there_and_ours() -> None:
    assert recipe_names() == sorted(PUBLISHED + OTHERS + SEGMENTATION + DETECTION + OWN)


@pytest.mark.parametrize("name", SEGMENTATION)
def test_recipes_of_cityscapes_say_what_the_paper_and_their_names_say(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.variant == name.split("_cityscapes")[0].replace("litehrnet", "lite_hrnet")
    assert recipe.input_size_wh == (1024, 512)
    assert len(recipe.outputs) == 19
    optimizer, schedule = recipe.training.optimizer, recipe.training.schedule
    assert (optimizer.kind, optimizer.learning_rate, optimizer.momentum, optimizer.weight_decay) == (
        "sgd",
        0.01,
        0.9,
        5e-4,
    )
    assert (schedule.kind, schedule.power) == ("poly", 0.9)
    assert recipe.load_from is None
    assert round(recipe.training.epochs * (2975 // recipe.training.batch_size), -3) == 160_000
    assert recipe.validation is not None
    assert recipe.validation.images.endswith("leftImg8bit/val")


def test_no_two_recipes_have_one_name() -> None:
    assert len(set(recipe_names())) == len(recipe_names())


def test_the_recipe_of_own_keypoints_trains_and_validates_on_different_files() -> None:
    recipe = read_recipe("lspet_256x192")
    (train,) = recipe.train
    assert recipe.validation is not None
    assert train.annotations != recipe.validation.annotations
    assert len(recipe.outputs) == 14


def test_the_documented_recipe_of_own_keypoints_is_the_recipe(project: Path, tmp_path: Path) -> None:
    blocks = (project / "docs" / "own_keypoints.md").read_text().split("```python\n")[1:]
    (text,) = (block.split("```")[0] for block in blocks if block.startswith("variant"))
    documented = read_recipe(_recipe(tmp_path, text))
    assert replace(documented, name="lspet_256x192") == read_recipe("lspet_256x192")


@pytest.mark.parametrize("name", PUBLISHED + OTHERS)
def test_recipe_says_what_its_name_says(name: str) -> None:
    recipe = read_recipe(name)
    size = name.rsplit("_", 1)[1]
    assert recipe.name == name
    assert f"{recipe.input_size_wh[1]}x{recipe.input_size_wh[0]}" == size
    network = name.split("_coco")[0].split("_mpii")[0]
    variant = NETWORKS[network][1] if network in NETWORKS else network.replace("litehrnet", "lite_hrnet")
    assert recipe.variant == variant
    assert recipe.keypoints == recipe.tested_on.format == name.split("_")[-2]
    assert len(recipe.outputs) == (17 if recipe.tested_on.format == "coco" else 16)
    assert recipe.codec.sigma == (3 if size == "384x288" else 2)
    assert recipe.codec.kind == "default"
    assert recipe.codec.flip_shift
    assert recipe.tested_on.flip
    assert recipe.tested_on.annotations.startswith(f"data/{recipe.tested_on.format}/annotations/")


def test_recipes_lie_at_the_published_paths(project: Path) -> None:
    folder = project / "configs" / "top_down"
    families = {name: "naive_litehrnet" if "naive" in name else "lite_hrnet" for name in PUBLISHED}
    families |= {name: NETWORKS[name.rsplit("_", 2)[0]][0] for name in OTHERS}
    for name, family in families.items():
        assert (folder / family / name.split("_")[-2] / f"{name}.py").is_file()


def test_recipes_of_other_networks_have_their_published_settings() -> None:
    mobilenet, dite = read_recipe("mobilenetv2_coco_256x192"), read_recipe("ditehrnet_18_mpii_256x256")
    training, augmentation = mobilenet.training, mobilenet.augmentation
    assert (training.epochs, training.batch_size, training.optimizer.learning_rate) == (210, 64, 5e-4)
    assert (augmentation.rotation_deg, augmentation.scale, augmentation.half_body_probability) == (40, 0.5, 0.3)
    training, augmentation = dite.training, dite.augmentation
    assert (training.epochs, training.batch_size, training.optimizer.learning_rate) == (260, 32, 2e-3)
    assert (augmentation.rotation_deg, augmentation.scale, augmentation.half_body_probability) == (30, 0.25, 0)


GOOD = """
variant = "lite_hrnet_18"
keypoints = "coco"
input_size_wh = (64, 96)
codec = dict(kind="dark", sigma=1)
test = dict(format="coco", annotations="a.json", images="photos", boxes=None)
"""


def _recipe(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.py"
    path.write_text(text)
    return path


def test_own_recipe_is_read_from_its_file(tmp_path: Path) -> None:
    recipe = read_recipe(_recipe(tmp_path, GOOD))
    assert (recipe.name, recipe.input_size_wh, recipe.codec.kind, recipe.codec.sigma) == ("own", (64, 96), "dark", 1.0)
    assert recipe.tested_on.boxes is None


def test_the_older_name_of_the_format_is_read_in_files_and_overrides(tmp_path: Path) -> None:
    older = _recipe(tmp_path, GOOD.replace("format=", "dataset="))
    assert read_recipe(older).tested_on.format == "coco"
    assert read_recipe(older, {"keypoints": "mpii", "test.dataset": "mpii"}).tested_on.format == "mpii"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('format="coco"', 'format="csv"', r"test.format is csv, not a format for keypoints \(expected coco or "),
        ("sigma=1", "sgima=1", r"unknown key codec.sgima \(did you mean sigma\?\)"),
        ("variant =", "varian =", r"unknown key varian \(did you mean variant\?\)"),
        ('variant = "lite_hrnet_18"', "", "variant is missing"),
        ("(64, 96)", "(64, 96.5)", r"input_size_wh is 96.5 \(expected int\)"),
        ("(64, 96)", "(64, True)", r"input_size_wh is True \(expected int\)"),
        ("(64, 96)", "64", r"input_size_wh is 64"),
        (
            "test = dict(",
            "train = (dict())\ntest = dict(",
            r"train is {} \(expected several in brackets, or one and a c",
        ),
        ("(64, 96)", "(64, 100)", "64x100"),
        ('kind="dark"', 'kind="drak"', r"codec.kind is 'drak' \(expected 'default' or 'dark' or 'udp'\)"),
        ("lite_hrnet_18", "lite_hrnet_19", "lite_hrnet_19: unknown network"),
        ("boxes=None", "boxes=5", "test.boxes is 5"),
        ('"photos"', "open('x')", r"line 6: 'open\('x'\)' is not a plain value"),
        ("test = dict(", "import os\ntest = dict(", "line 6: 'import os' is not a plain value"),
        ("test = dict(", "test = dict(**{}, ", "is not a plain value"),
        ("test = dict(", "test = dict((", "not a recipe"),
    ],
)
def test_mistake_in_a_recipe_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError, match=message):
        read_recipe(_recipe(tmp_path, GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("blur_probability=1.5", r"own\.py: augmentation\.blur_probability is 1\.5 \(expected 0 to 1\)"),
        ("cutout_probability=-0.1", r"augmentation\.cutout_probability is -0\.1 \(expected 0 to 1\)"),
        ("background_probability=2", r"augmentation\.background_probability is 2 \(expected 0 to 1\)"),
        ("anywhere_probability=1e999", r"augmentation\.anywhere_probability is inf \(expected 0 to 1\)"),
        ("brightness=1.01", r"augmentation\.brightness is 1\.01 \(expected 0 to 1\)"),
        ("contrast=-1", r"augmentation\.contrast is -1 \(expected 0 to 1\)"),
        ("saturation=3", r"augmentation\.saturation is 3 \(expected 0 to 1\)"),
        ("flip_probability=50", r"augmentation\.flip_probability is 50 \(expected 0 to 1\)"),
        ("blur=0.5", r"unknown key augmentation\.blur"),
        (
            "anywhere_probability=0.2",
            r"own\.py: augmentation\.anywhere_probability is 0\.2, but such crops have no labels "
            r"\(expected distill\.teacher as well\)",
        ),
    ],
)
def test_augmentation_that_cannot_be_is_named(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(_recipe(tmp_path, f"{GOOD}augmentation = dict({setting})\n"))


def test_ends_of_ranges_are_possible_and_a_teacher_makes_crops_anywhere_so(tmp_path: Path) -> None:
    settings = "brightness=1, contrast=0, blur_probability=1, anywhere_probability=0.2"
    path = _recipe(tmp_path, f"{GOOD}augmentation = dict({settings})\n")
    recipe = read_recipe(path, {"distill.teacher": "teacher.safetensors"})
    assert recipe.augmentation.anywhere_probability == 0.2
    assert recipe.augmentation.brightness == 1.0


def test_nothing_in_a_recipe_is_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    text = f"keypoints = __import__('pathlib').Path({str(victim)!r}).touch()\n"
    with pytest.raises(UserError, match="not a plain value"):
        read_recipe(_recipe(tmp_path, GOOD + text))
    assert not victim.exists()


def test_misspelled_name_of_a_recipe_brings_the_nearest_right_one() -> None:
    with pytest.raises(UserError, match=r"did you mean litehrnet_18_coco_256x192\?"):
        read_recipe("litehrnet18_coco_256x192")


def test_missing_recipe_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.py: no such file"):
        read_recipe(tmp_path / "none.py")


def test_a_configuration_is_read_and_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(module: Any, name: str) -> None:
        real = getattr(module, name)

        def called(*given: Any) -> Any:
            calls.append(name)
            return real(*given)

        monkeypatch.setattr(module, name, called)

    counted(recipes, "read_bytes")
    counted(read, "parse_python")
    counted(schema, "find_keypoint_set")
    loaded = read.load_config(_recipe(tmp_path, GOOD), ["training.epochs=3"])
    assert (loaded.config.training.epochs, loaded.recipe.training.epochs) == (3, 210)
    assert loaded.config.keypoint_set is loaded.config.outputs
    assert sorted(calls) == ["find_keypoint_set", "parse_python", "read_bytes"]


@pytest.mark.parametrize("name", ["fitted", "resolved"])
def test_settings_that_the_reader_sets_are_unknown_in_recipes(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"unknown key {name}"):
        read_recipe(_recipe(tmp_path, f"{GOOD}{name} = ()\n"))
