"""Registration: where the tissue of one slide lies on another, and how far that can be trusted."""

from pathfuse.register.contract import Registration, Section
from pathfuse.register.field import Field
from pathfuse.register.transform import Transform
from pathfuse.register.views import View

__all__ = ["Field", "Registration", "Section", "Transform", "View"]
