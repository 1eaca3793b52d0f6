"""Of several teachers, are all of them listened to?"""

from understudy.engine.doctor.case import Case
from understudy.engine.doctor.finding import Finding
from understudy.methods import LOGITS

CHECK = "teachers"


def several(case: Case) -> list[Finding]:
    """A warning where there are several teachers and the method reads features alone, which are the first one's."""
    others = case.plan.settings.more_teachers
    read = {site.teacher.name for sites in case.distiller.sites.values() for site in sites}
    if not others or not read or LOGITS in read:
        return []
    return [
        Finding(
            check=CHECK,
            severity="warning",
            found=f"there are {1 + len(others)} teachers, and {case.plan.method.title} reads features alone.",
            why="Of several teachers the logits are averaged; features are those of the first, so the others count for "
            "nothing.",
            do="give one --teacher, or a method with logits, such as +kd",
        )
    ]
