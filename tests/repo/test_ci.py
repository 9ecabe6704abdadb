"""CI runs all that there is: every folder of tests in some job, and every job."""

import re

import pytest

from tests.repo import tree

RUN = tree.read(".ci/run")
FOLDERS = sorted({path.parts[1] for path in tree.find("tests/*/test_*.py")})


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_tests_is_run(folder: str) -> None:
    """A make target runs each folder, and CI has it in a job: unit by make coverage, image by make test_e2e."""
    makefile = re.findall(r"^TESTS := .*|-m pytest .*", tree.read("Makefile"), re.MULTILINE)
    jobs = RUN.partition("# run JOB")[0]

    assert any(re.search(rf"\b{folder}\b", line) for line in makefile)
    assert re.search({"unit": "make coverage", "image": "make test_e2e"}.get(folder, rf"\b{folder}\b"), jobs)


def test_every_job_is_run() -> None:
    """Each function that stands before the machinery is a job, or belongs to jobs."""
    (jobs,) = re.findall(r"^JOBS=\((.*)\)", RUN, re.MULTILINE)
    functions = re.findall(r"^(\w+)\(\)", RUN.partition("# run JOB")[0], re.MULTILINE)

    assert {*jobs.split()} == {*functions} - {"test_all"}
