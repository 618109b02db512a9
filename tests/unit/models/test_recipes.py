"""Recipes: the shipped ones are whole and documented; a wrong one is refused by a sentence."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import msgspec
import pytest

from models import recipes
from models.errors import RecipeError
from models.licences import allows_commerce
from models.recipes import Recipe, find_recipe, parse_recipe, shipped_recipes
from models.registry import open_pack
from models.verify import read_arrays

SHIPPED = list(shipped_recipes())
PAGE = (Path(recipes.__file__).parent / "PACKS.md").read_text(encoding="utf-8")


def test_the_recipes_of_the_issue_are_shipped() -> None:
    names = {recipe.name for recipe in SHIPPED}
    assert {"default+mobileface-v2", "mobileface-v2", "yunet", "sface", "minifasnet"} <= names


@pytest.mark.parametrize("recipe", SHIPPED, ids=[recipe.name for recipe in SHIPPED])
def test_a_shipped_recipe_is_found_by_its_name_and_names_what_people_must_know(recipe: Recipe) -> None:
    assert find_recipe(recipe.name).recipe == recipe
    for file in recipe.files:
        assert allows_commerce(file.licence)
        assert any(brought.sha256 for way in file.ways for brought in way.files)


@pytest.mark.parametrize("recipe", SHIPPED, ids=[recipe.name for recipe in SHIPPED])
def test_the_page_tells_every_recipe_with_its_licence_and_digests(recipe: Recipe) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{recipe.name}` |")]
    for file in recipe.files:
        assert file.licence in row
        for brought in (each for way in file.ways for each in way.files):
            assert brought.name in row
            for digest in brought.sha256:
                assert f"`{digest}`" in PAGE


@pytest.mark.parametrize("recipe", SHIPPED, ids=[recipe.name for recipe in SHIPPED])
def test_what_was_not_measured_says_so_and_has_no_operating_point(recipe: Recipe) -> None:
    if recipe.measured.startswith("Not measured by us"):
        assert recipe.operating_points == ()
        assert "not measured by us" in PAGE.split(f"| `{recipe.name}` |")[1].splitlines()[0]
    else:
        assert any(character.isdigit() for character in recipe.measured)


def test_a_file_that_may_be_somebodys_own_conversion_has_golden_vectors_to_be_judged_by() -> None:
    for recipe in SHIPPED:
        open_to_others = {
            file.path
            for file in recipe.files
            if any(brought.conversions for way in file.ways for brought in way.files)
        }
        content = find_recipe(recipe.name).golden
        arrays = {} if content is None else read_arrays(content, recipe.name)
        for path in open_to_others:
            assert f"{path}/input" in arrays


def test_fusion_weights_are_those_of_the_published_spreads() -> None:
    recipe = find_recipe("default+mobileface-v2").recipe
    default, other = 1 / 0.0342, 1 / 0.0974
    assert recipe.weights["dlib-resnet"] == pytest.approx(default / (default + other), abs=1e-4)
    assert sum(recipe.weights.values()) == pytest.approx(1)
    assert set(recipe.weights) >= {each.name for each in open_pack().manifest.embedders}


def test_a_score_fused_from_scaled_scores_is_the_packs_weighted_similarity() -> None:
    recipe = find_recipe("default+mobileface-v2").recipe
    pairs = [(0.95, 0.6), (0.90, 0.3), (0.97, 0.1), (0.85, 0.7)]
    scaled = [(d - 0.8397) / 0.0342 + (v - 0.0359) / 0.0974 for d, v in pairs]
    ours = [recipe.weights["dlib-resnet"] * d + recipe.weights["mobileface-v2"] * v for d, v in pairs]
    slope = (scaled[1] - scaled[0]) / (ours[1] - ours[0])
    for z, similarity in zip(scaled, ours, strict=True):
        assert z == pytest.approx(scaled[0] + slope * (similarity - ours[0]), abs=0.02)


def test_an_unknown_recipe_is_told_with_those_there_are() -> None:
    with pytest.raises(RecipeError, match="yunet"):
        find_recipe("arcface")


def test_a_recipe_of_ones_own_is_read_from_its_file(tmp_path: Path) -> None:
    text = (resources.files("models") / "recipes" / "sface.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(text.replace('name = "sface"', 'name = "mine"', 1), encoding="utf-8")
    assert find_recipe(str(tmp_path / "mine.toml")).recipe.name == "mine"


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("format = 1", "format = 2", "format is 2"),
        ("summary =", "sumary =", "sumary"),
        ('kind = "onnx"', 'kind = "torch"', "kind"),
        ('kind = "onnx"', 'kind = "mxnet"', "has two"),
        ('path = "sface.onnx"', 'path = "../sface.onnx"', "path"),
        ("max_bytes = 50000000", "max_bytes = 0", "max_bytes"),
    ],
)
def test_a_wrong_recipe_is_refused_by_a_message_that_names_what_is_wrong(
    tmp_path: Path, before: str, after: str, named: str
) -> None:
    text = (resources.files("models") / "recipes" / "sface.toml").read_text(encoding="utf-8")
    assert before in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"mine\.toml") as refused:
        find_recipe(str(path))
    assert named in str(refused.value)


def test_a_recipe_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml"):
        find_recipe(str(tmp_path / "none.toml"))
    for broken in (b"\xff\xfe", b"format = "):
        with pytest.raises(RecipeError, match="broken"):
            parse_recipe(broken, "broken")
    (tmp_path / "large.toml").write_bytes(b"#" * (recipes.MAX_RECIPE_BYTES + 1))
    with pytest.raises(RecipeError, match="larger"):
        find_recipe(str(tmp_path / "large.toml"))


def test_every_key_of_a_recipe_is_explained() -> None:
    structs = (recipes.Recipe, recipes.RecipeFile, recipes.Way, recipes.Brought, recipes.Upstream)
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    for key in sorted({field.name for struct in structs for field in msgspec.structs.fields(struct)}):
        assert any(f"`{key}`" in row or f"[{key}]" in row for row in rows), key
