"""New plug-ins: a small real component of every kind, and the distribution around it."""

from pathfuse.template.kinds import KINDS, Kind
from pathfuse.template.write import write_plugin

__all__ = ["KINDS", "Kind", "write_plugin"]
