"""Recipes: what the published one says, strictness, and that nothing is lost on the way through a file."""

import pytest
import yaml

from training import recipe_files
from training.recipe import KIND, Recipe


def test_the_kinetics_recipe_is_the_published_one():
    recipe = Recipe.load("kinetics600")
    optimizer, schedule = recipe.optimizer, recipe.schedule
    assert (optimizer.name, optimizer.lr, optimizer.momentum, optimizer.decay, optimizer.epsilon) == (
        "rmsprop", 1.8, 0.9, 0.9, 1.0,
    )  # fmt: skip
    assert (optimizer.clip_each, optimizer.clip_all, optimizer.batch) == (1.0, 0.0, 1024)
    assert (optimizer.weight_decay, optimizer.decayed) == (2 * 1.5e-5, ("kernels",))
    # 366,016 training clips: 85,785 steps, 2,145 of warm-up
    assert round(schedule.epochs * 366_016 / 1024) == 85_785
    assert round(schedule.warmup_epochs * 366_016 / 1024) == 2_145
    assert schedule.floor == 0.0
    assert (recipe.loss.label_smoothing, recipe.network.drop_path, recipe.network.residual) == (0.1, 0.2, 0.0)
    augmentation = recipe.augmentation
    assert (augmentation.crop_area, augmentation.crop_aspect, augmentation.flip) == ((0.08, 1.0), (0.5, 2.0), 0.5)
    assert (augmentation.policy, augmentation.frame_rate_jitter) == ("autoaugment", 1)
    assert recipe.compute.precision == "bfloat16"


@pytest.mark.parametrize("name", recipe_files.names(KIND))
def test_every_recipe_survives_its_own_file_and_its_flat_form(name, tmp_path):
    recipe = Recipe.load(name)
    path = tmp_path / "mine.yaml"
    path.write_text(recipe.to_yaml())
    assert Recipe.load(path) == recipe == Recipe.from_flat(recipe.flat())
    assert yaml.safe_load(recipe.to_yaml()) == recipe.to_dict()


def test_recipes_are_known_by_name():
    assert recipe_files.names(KIND) == ("demo", "finetune", "kinetics600", "trial", "videos")
    with pytest.raises(ValueError, match=r"'kinetics60' is not known; did you mean 'kinetics600'"):
        Recipe.load("kinetics60")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimiser: {lr: 1}", "unknown key 'optimiser'; did you mean 'optimizer'"),
        ("optimizer: {lrr: 1}", "unknown key 'lrr'; did you mean 'lr'"),
        ("optimizer: {lr: fast}", r"optimizer.lr is 'fast'; allowed: a number from 0 to 1000"),
        ("optimizer: {name: adam}", "did you mean 'adamw'"),
        ("optimizer: {decayed: [kernel]}", "did you mean 'kernels'"),
        ("schedule: {epochs: -1}", "schedule.epochs is -1"),
        ("network: {average: 1.0}", "network.average is 1.0"),
        ("compute: {precision: half}", "float32, bfloat16, float16"),
        ("augmentation: {policy: auto}", "autoaugment"),
        ("optimizer: {batch: 10}\ncompute: {accumulate: 4}", "does not divide"),
        ("loss: 3", "must be a mapping"),
    ],
)
def test_a_mistake_in_a_file_is_named(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Recipe.load(path)


def test_a_setting_is_changed_by_its_dotted_name():
    recipe = Recipe.load("demo").changed({"optimizer.lr": 0.1, "network.dropout": None, "optimizer.decayed": ["norms"]})
    assert (recipe.optimizer.lr, recipe.network.dropout, recipe.optimizer.decayed) == (0.1, None, ("norms",))
    assert Recipe.load("demo").optimizer.lr == 0.04


@pytest.mark.parametrize(
    ("key", "message"),
    [("lr", "did you mean 'optimizer.lr'"), ("optimzer.lr", "did you mean"), ("loss.mixupp", "'loss.mixup'")],
)
def test_an_unknown_setting_names_the_nearest(key, message):
    with pytest.raises(ValueError, match=message):
        Recipe.load("demo").changed({key: 1})


def test_numbers_with_an_exponent_are_numbers(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("optimizer:\n  lr: 1e-3\n  weight_decay: 5e-4\nschedule:\n  epochs: 1\n")
    recipe = Recipe.load(file)
    assert (recipe.optimizer.lr, recipe.optimizer.weight_decay) == (0.001, 0.0005)
