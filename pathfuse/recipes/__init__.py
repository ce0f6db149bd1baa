"""Recipes: find one by name, lay several over each other, apply a layer, split into stages."""

from pathfuse.recipes.compose import Recipe, compose
from pathfuse.recipes.find import RecipeFile, find_recipe, recipe_files

__all__ = ["Recipe", "RecipeFile", "compose", "find_recipe", "recipe_files"]
