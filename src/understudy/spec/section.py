"""What all groups of settings have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings: fixed once made, and no key that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
