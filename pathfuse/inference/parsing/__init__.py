"""Parsing of recipes: the parser, its messages, the classes a recipe may name, and the places it may write to."""
