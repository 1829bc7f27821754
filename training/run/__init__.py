"""Folders of runs: made, locked and resumed, written line by line, and read back by the kind of run that they are."""

from searchspace.targets import CONFIG
from training.run.accepted import accept
from training.run.base_run import Run
from training.run.reader import (
    AnyRun,
    FamilyRun,
    FamilyTrainingRun,
    FoldsRun,
    RetrainRun,
    find_run,
)
from training.run.run_folder import (
    DATA_PATHS,
    SPACE,
    SUMMARY,
    RunFolder,
    check_disk,
    check_new,
    check_settings,
    create,
    read_json,
    resume,
    settled,
)
from training.run.search_run import SearchRun

__all__ = [
    "CONFIG",
    "DATA_PATHS",
    "SPACE",
    "SUMMARY",
    "AnyRun",
    "FamilyRun",
    "FamilyTrainingRun",
    "FoldsRun",
    "RetrainRun",
    "Run",
    "RunFolder",
    "SearchRun",
    "accept",
    "check_disk",
    "check_new",
    "check_settings",
    "create",
    "find_run",
    "read_json",
    "resume",
    "settled",
]
