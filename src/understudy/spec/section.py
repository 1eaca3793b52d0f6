"""What all groups of settings have in common."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Section(BaseModel):
    """A group of settings: fixed once made, and no key that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_values_are_no_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads yes and no as truth values, and Python counts those as 1 and 0."""
        kinds = _kinds(cls.model_fields[info.field_name or ""].annotation) if isinstance(value, bool) else set()
        if kinds & {int, float} and bool not in kinds:
            raise ValueError("expected a number")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """The types that an annotation is made of."""
    return {annotation}.union(*(_kinds(one) for one in get_args(annotation)))
