"""Several teachers of which a method would hear one."""

import pytest

from understudy.engine.doctor import examine
from understudy.engine.plan import make_plan


def teachers(findings):
    return [one for one in findings if one.check == "teachers"]


@pytest.mark.parametrize(("method", "told"), [("ofd", 1), ("ab", 1), ("kd", 0), ("ofd+kd", 0)])
def test_teachers_that_count_for_nothing_are_told(settings, teacher_file, method, told):
    others = [{"model": "digits-2x6", "weights": str(teacher_file)}]
    found = teachers(examine(make_plan(settings(method, more_teachers=others, epochs="2"))))
    assert len(found) == told
    assert all("there are 2 teachers" in one.found and one.severity == "warning" for one in found)
