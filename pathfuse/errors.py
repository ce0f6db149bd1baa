"""Errors that a user can act on: each message names the thing, the place in it and the next step.

The command line prints the message as one line and exits with `exit_code`; nothing else is caught there.
"""

from __future__ import annotations


class PathfuseError(Exception):
    """Anything a user can repair; `str(error)` is the whole line shown to them."""

    exit_code = 2


class RecipeError(PathfuseError):
    """A recipe, layer, stage or override that cannot be used."""


class PluginError(PathfuseError):
    """A component name that is unknown or claimed twice, or a plug-in that does not import."""


class TrustError(PathfuseError):
    """A recipe or checkpoint that names code outside pathfuse, the installed plug-ins and the allow-list."""


class CaseTableError(PathfuseError):
    """A row or column of a case table, or a file of a case folder, that cannot be used."""


class ImageError(PathfuseError):
    """An image file that cannot be decoded or does not fit its partner."""


class WeightsError(PathfuseError):
    """Pretrained weights that are not there or do not fit the network."""


class RunError(PathfuseError):
    """A run folder that exists already, is incomplete, or belongs to another recipe or cohort."""


class StoreError(PathfuseError):
    """A feature file that cannot be read, lacks a fact that is needed, or does not fit its cohort."""
