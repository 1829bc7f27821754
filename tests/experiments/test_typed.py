"""Every command that is printed, as the next one or as a remedy, read by the real parsers; some are run.

Three roads: the calls that make commands, found in the source; flags in messages, found in the source; and what is
printed about files and runs whose names a shell would take apart.
"""

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import searchspace
from experiments import cli
from experiments.arguments import Parser, UsageError
from experiments.cli import COMMANDS, module
from searchspace import cost, tabulate
from searchspace.commands import command, go_on
from tests.experiments.conftest import Nas
from tests.experiments.runs import made_up_run
from tests.training.small import SPACE
from tests.training.tiny import trained_run
from tests.video.conftest import write

ROOT = Path(__file__).parents[2]
ROOMS = ("searchspace", "networks", "supernet", "controller", "video", "training", "scaling", "experiments")
NAMES = "|".join(sorted(COMMANDS, key=len, reverse=True))


def parser_of(name: str) -> Parser:
    parser = Parser(f"nas {name}", "")
    importlib.import_module(f"experiments.commands.{module(name)}").add_arguments(parser)
    return parser


def flags_of(name: str) -> set[str]:
    return {flag for action in parser_of(name)._actions for flag in action.option_strings}


def read(text: str):
    """What a typed command means: its name and its arguments."""
    words = shlex.split(text)
    assert words[0] == "nas", text
    name, rest = cli._find(words[1:])
    return name, parser_of(name).parse(rest)


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text())


def messages(tree: ast.Module) -> Iterator[ast.expr]:
    """Texts that may be shown: no docstrings, no help of flags."""
    hidden: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                hidden.add(id(statement.value))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            hidden |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            yield node
            hidden |= {id(inner) for inner in node.values}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in hidden:
            yield node


def text_of(message: ast.expr) -> str:
    """The text, with a mark for each value that is put in."""
    if isinstance(message, ast.Constant):
        return str(message.value)
    assert isinstance(message, ast.JoinedStr)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in message.values)


# What is made


@pytest.mark.parametrize("place", ["a b", "it's", "two  blanks", '"', "$HOME", "-dash", "a;b", "tab\there", "é", "*"])
def test_what_is_typed_means_what_is_meant(place: str) -> None:
    name, args = read(command("predict", place, "VIDEO", top=3, stream=True, fps=None))
    assert name == "predict" and (args.checkpoint, args.videos, args.top, args.stream) == (
        place.replace("\t", r"\x09"), ["VIDEO"], 3, True,
    )  # fmt: skip
    _, args = read(command("search", data=place, set=["beta=-0.07", "a=b"], workers=0, json=False))
    assert args.data == place.replace("\t", r"\x09") and args.settings == ["beta=-0.07", "a=b"]
    assert args.workers == 0 and not args.json


def test_where_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert go_on("search", Path("runs/x")) == "nas search --resume --name x" == go_on("search", tmp_path / "runs" / "x")
    for run in ("other/-x", "x", tmp_path / "else where" / "it's"):
        _, args = read(go_on("retrain", run))
        assert (args.runs / args.name).absolute() == tmp_path / run and args.resume
    assert go_on("retrain", "fam/g-1", "fam") == "nas retrain fam --resume --name g-1"


SAMPLES = {
    "clip": "8x128x128",
    "budget": "600M",
    "group": "(s)",
    "folds": "5",
    "seeds": "3",
    "parallel": "2",
    "recipe": "demo",
}
"""Values of flags that are checked while they are read."""


def test_every_call_that_makes_a_command_makes_one() -> None:
    found = 0
    for path, tree in sources():
        for node in ast.walk(tree):
            maker = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if maker not in ("command", "go_on") or path.name == "commands.py" or not isinstance(node, ast.Call):
                continue
            first, *places = node.args
            if not isinstance(first, ast.Constant):
                continue  # a command's own constant, or its parser's flags
            assert first.value in COMMANDS, f"{path}:{node.lineno}"
            flags = {keyword.arg: SAMPLES.get(keyword.arg, "x") for keyword in node.keywords if keyword.arg is not None}
            for keyword in node.keywords:
                if isinstance(keyword.value, ast.Constant):
                    flags[str(keyword.arg)] = keyword.value.value
            if maker == "command":
                text = command(first.value, *["X"] * len(places), **flags)
            else:
                text = go_on(first.value, "runs/x", *["X"] * (len(places) - 1))
            try:
                read(text)
            except UsageError as error:
                bare = {flag: value for flag, value in flags.items() if flag not in ("stream", "print")}
                assert "expected one argument" not in str(error), f"{path}:{node.lineno}: {error}"
                assert bare == {} or "unexpected 'x'" in str(error), f"{path}:{node.lineno}: {text}: {error}"
            found += 1
    assert found > 35


def test_no_command_is_put_together_by_hand() -> None:
    """What follows a command's name in a message is put in by `command`, which quotes it."""
    for path, tree in sources():
        for message in messages(tree):
            text = text_of(message)
            wrong = re.search(rf"\bnas (?:{NAMES})(?: --[a-z-]+(?: [\w./-]+)?)*[ =]\{{\}}", text)
            assert wrong is None, f"{path}:{message.lineno}: {text}"


def test_commands_in_messages_have_the_flags_that_are_named() -> None:
    found = 0
    for path, tree in sources():
        if path.name == "cli.py":
            continue
        for message in messages(tree):
            text = text_of(message)
            if "  nas " in text:
                continue  # examples, below
            for name, flags in re.findall(rf"\bnas ({NAMES})((?: --[a-z-]+)+)", text):
                assert set(flags.split()) <= flags_of(name), f"{path}:{message.lineno}: {text}"
                found += 1
    assert found >= 3


SHOWN_BY = {
    "searchspace/budget.py": ["search", "space"],
    "networks/weights/convert_weights.py": ["import"],
    "video/kinetics.py": ["search", "scale", "retrain", "evaluate", "data check"],
    "video/motion.py": ["retrain"],
    "video/views.py": ["predict"],
    "training/retrain/chosen_clip.py": ["retrain"],
    "training/retrain/cross_validation.py": ["retrain"],
    "training/open_data.py": ["search", "scale", "retrain"],
    "training/machine/device.py": ["search", "retrain", "evaluate", "predict"],
    "training/retrain/footprint.py": ["retrain"],
    "training/retrain/initial_weights.py": ["retrain"],
    "training/evaluation/judging.py": ["evaluate"],
    "training/evaluation/protocols.py": [],
    "training/evaluation/evaluation_data.py": ["evaluate", "retrain"],
    "training/recipe.py": [],
    "training/retrain/retrain_config.py": ["retrain"],
    "training/retrain/retrain_task.py": ["retrain"],
    "training/run/run_folder.py": ["search", "scale", "retrain"],
    "training/steps/trainer.py": ["retrain"],
    "training/workers/__init__.py": ["scale"],
    "training/workers/on_ray.py": ["scale", "retrain"],
    "scaling/coefficient_support.py": ["scale"],
    "scaling/family_folder.py": ["scale"],
    "scaling/family_plan.py": ["retrain"],
    "scaling/family_training.py": ["retrain"],
    "scaling/scale_config.py": ["scale"],
    "scaling/members.py": ["scale"],
    "scaling/scale_family.py": ["scale"],
    "scaling/trial_ledger.py": ["scale"],
    "experiments/retrain_family.py": ["retrain"],
    "experiments/text/search_text.py": ["search"],
    "experiments/text/scale_text.py": ["scale"],
}
"""Commands that show the messages of a module, all of which have the flags that these name."""

OTHERS = {"--help", "--version", "--plugin", "--head", "--print", "--parallel"}
"""Of `nas` itself and of other programs; and what is said of another command than the one that shows it."""


def test_remedies_name_flags_that_the_command_has() -> None:
    for path, tree in sources():
        own = next((name for name in COMMANDS if path == Path(f"experiments/commands/{module(name)}.py")), None)
        shown_by = [own] if own is not None else SHOWN_BY.get(str(path))
        for message in messages(tree):
            text = text_of(message)
            if "  nas " in text or path.name in ("arguments.py", "errors.py", "cli.py"):
                continue
            named = {flag for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)} - OTHERS
            said_of = {
                flag for _, flags in re.findall(rf"\bnas ({NAMES})((?: --[a-z-]+)+)", text) for flag in flags.split()
            }
            if not named - said_of or path == Path("experiments/commands/doctor_command.py"):
                continue
            assert shown_by is not None, f"{path}:{message.lineno}: say in SHOWN_BY who shows {text!r}"
            for name in shown_by:
                assert named - said_of <= flags_of(name), f"{path}:{message.lineno}, shown by {name}: {text}"


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_can_be_typed(name: str) -> None:
    for line in importlib.import_module(f"experiments.commands.{module(name)}").EXAMPLE.splitlines():
        text = re.split(r" > |\s{3,}", line.strip())[0]
        read(text)


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_show_commands_that_can_be_typed(document: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text(), re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    for line in lines:
        text = re.sub(r"^(\S*/)?nas ", "nas ", line)
        if text.startswith("nas "):
            read(text)


# What is printed

AWKWARD = "it's  a -run"


def typed(*texts: str) -> list[str]:
    """The commands in what was printed: behind `next:`, in lines below it, and behind `with:`."""
    found = []
    for line in "\n".join(texts).splitlines():
        match = re.search(r"(?:^next: |^      |with: )(nas .*)", line)
        if match:
            found.append(re.split(r"\s{4}\S", match[1])[0])
    return found


def check(printed: list[str]) -> None:
    """All can be read, and what they point at is there."""
    assert printed
    for text in printed:
        _, args = read(text)
        for key, value in vars(args).items():
            paths = value if isinstance(value, list) else [value]
            for path in paths if key in ("things", "found", "trained", "checkpoint", "folder", "arch", "data") else []:
                known = path is None or str(path).isupper() or searchspace.is_published(str(path))
                assert known or Path(path).exists(), text
        if getattr(args, "resume", False) and not getattr(args, "arch", None):
            assert (args.runs / args.name / "config.json").is_file(), text


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, and runs elsewhere, with blanks, quotes and dashes in their names."""
    place = tmp_path / "work  ing's"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def elsewhere(here: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = here.parent / "other 'runs"
    made_up_run(runs / AWKWARD, steps=20)
    made_up_run(runs / "-half", steps=20, finished=False)
    trained_run(runs / "-trained")
    return runs


def test_about_runs(nas: Nas, here: Path, elsewhere: Path) -> None:
    printed = []
    for words in (
        ["show", AWKWARD, "--runs", elsewhere],
        ["show", elsewhere / AWKWARD],
        ["show", "--runs", elsewhere, "--", "-half"],
        ["show", "--runs", elsewhere, "--", "-trained"],
        ["cost", elsewhere / AWKWARD],
        ["cost", elsewhere / "-trained", "--stream"],
    ):
        answer = nas(*words)
        assert answer.code == 0, answer.err
        printed += typed(answer.out)
    refused = nas("plot", elsewhere / "-half")
    assert refused.code == 2
    printed += typed(refused.err)
    check(printed)
    for text in printed:
        if text.split()[1] in ("show", "cost", "plot") and "half" not in text:
            again = nas(*shlex.split(text)[1:])
            assert again.code == 0, (text, again.err)


def test_about_data(nas: Nas, here: Path, elsewhere: Path) -> None:
    made = nas("data", "demo", "--output=-my 'data", "--train", 3, "--val", 1, "--clip", "4x16x16@10")
    assert made.code == 0, made.err
    (text,) = typed(made.out)
    checked = nas(*shlex.split(text.replace("check", "check --workers 0"))[1:])
    assert checked.code == 0, checked.err
    grouped = nas("data", "check", "--group", r"^(.*)\.mp4$", "--workers", 0, "--", "-my 'data")
    (here / "clips 1").mkdir()
    rows = ["label,youtube_id,split"]
    for i in range(6):
        write(here / "clips 1" / f"v{i}.mkv", 6, "ffv1", 10, "bgr0")
        rows.append(f"{'ab'[i % 2]},v{i},train")
    (here / "it's.csv").write_text("\n".join(rows))
    annotated = nas("data", "check", "it's.csv", "--videos", "clips 1", "--workers", 0)
    printed = typed(checked.out, grouped.out, annotated.out)
    check(printed)
    assert read(printed[1])[1].group == r"^(.*)\.mp4$" and read(printed[2])[1].videos == "clips 1"


@pytest.mark.parametrize("budget", [None, "1k", "90G", "2M", "1Mparams"])
def test_about_spaces_only_budgets_that_can_be_met(nas: Nas, here: Path, budget: str | None) -> None:
    (here / "-my 'space.yaml").write_text(SPACE)
    words = ["--clip", "8x32x32", *([] if budget is None else ["--budget", budget])]
    (text,) = typed(nas("space", *words, "--", "-my 'space.yaml").out)
    name, args = read(text)
    assert name == "search" and args.clip == "8x32x32@5" and Path(args.space).is_file()
    from training.search.search_config import SearchConfig
    from training.search.search_problem import build

    config = SearchConfig.resolve(space=args.space, budgets=args.budgets, clip=args.clip)
    assert build(config, 18).budgets[0].text == args.budgets[0]
    assert budget != "2M" or args.budgets == ["2M"]


def test_about_families(nas: Nas, here: Path) -> None:
    (here / "small's.yaml").write_text(SPACE)
    words = ["scale", "small's.yaml", "--coeffs", "1.2,1.1,1.1,1.2", "--budget", "2M", "--clip", "4x32x32"]
    words += ["--search-resolution", 16, "--members", "A1:A3", "--name", AWKWARD, "--runs", "r 1"]
    rehearsed = nas(*words, "--dry-run")
    assert rehearsed.code == 0, rehearsed.err
    (same,) = typed(rehearsed.out)
    assert vars(read(same)[1]) == vars(read(" ".join(["nas", *(shlex.quote(str(word)) for word in words)]))[1])
    answer = nas(*words)
    assert answer.code == 0, answer.err
    printed = typed(answer.out)
    check(printed)
    _, args = read(printed[-1])
    space = searchspace.load(args.space)
    budget = searchspace.Budget.parse(args.budgets[0])
    costs = tabulate(space).macs(space.decisions.sample(np.random.default_rng(0), 4000))
    assert ((costs >= 0.97 * budget.amount) & (costs <= 1.01 * budget.amount)).any()
    family = nas(
        "retrain", Path("r 1") / AWKWARD, "--dry-run", "--workers", 0, "--seeds", 2, "--set", "optimizer.lr=1e-3"
    )
    (again,) = typed(family.out)
    assert read(again)[1].workers == 0 and read(again)[1].settings == ["optimizer.lr=1e-3"]
    none = nas("report", Path("r 1") / AWKWARD)
    assert none.code == 2
    assert "retrain" in none.err and typed(none.err)
    check(typed(none.err, family.out))


def test_about_trained_networks(nas: Nas, here: Path, elsewhere: Path) -> None:
    run = elsewhere / "-trained"
    data = here / "-v"
    for i in range(2):
        for name in "abc":
            write(data / name / f"{i}.mkv", 6, "ffv1", 10, "bgr0")
    judged = nas("evaluate", run, "--data=-v", "--protocol", "clip", "--workers", 0)
    assert judged.code == 0, judged.err
    asked = nas("predict", run, data / "a")
    assert asked.code == 0, asked.err
    printed = typed(judged.out, asked.out)
    assert len(printed) == 3
    check(printed)
    searched = nas("evaluate", elsewhere / AWKWARD)
    check(typed(searched.err))


@pytest.mark.parametrize(
    "words",
    [
        ["search", "--workers", "0", "--data", "my data", "--name=-x", "--set", "beta=-0.07", "--set", "window=0"],
        ["search", "--budget", "600M", "--budget", "3Mparams", "--group", "(it's.)", "--data", "my data", "--stream"],
        ["retrain", "a0", "--workers", "0", "--data", "my data", "--name", "it's", "--seed", "0", "--keep", "1"],
        ["retrain", "a0", "-c", "demo", "--epochs", "0.5", "--threads", "1", "--clip", "8x32x32"],
        ["scale", "movinet", "--coeffs", "1.2,1.1,1.1,1.2", "--axis", "params", "--axis", "state", "--name", "a b"],
    ],
)
def test_a_rehearsal_ends_with_the_same_command(
    nas: Nas, here: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    from training.search import search_estimate as estimate

    known = estimate.Estimate(2_500_000_000, 300_000_000, 240.0, 60.0)
    monkeypatch.setattr(estimate, "estimate", lambda problem: known)
    for name in "ab":
        for i in range(3):
            (here / "my data" / name).mkdir(parents=True, exist_ok=True)
            (here / "my data" / name / f"it's{i}.mp4").write_bytes(b"")
    answer = nas(*words, "--dry-run")
    assert answer.code == 0, answer.err
    (text,) = typed(answer.out)
    expected = parser_of(words[0]).parse(words[1:])
    if words[0] == "search" and expected.budgets is None:
        expected.budgets = ["600MFLOPs"]
    assert read(text)[1] == expected


def test_memory_and_files_that_ran_out(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    for error in (MemoryError(), OSError(errno.EMFILE, "too many"), OSError(errno.ENOSPC, "full")):

        def fail(words: list[str], error: BaseException = error) -> int:
            raise error

        monkeypatch.setattr(cli, "_run", fail)
        for name in COMMANDS:
            answer = nas(*name.split())
            assert answer.code == 2
            assert set(re.findall(r"--[a-z-]+", answer.err)) <= flags_of(name), answer.err


def test_the_winner_s_costs_are_those_of_the_typed_clip(nas: Nas, here: Path, elsewhere: Path) -> None:
    from experiments.text.search_text import result
    from training.run import SearchRun

    printed = typed("\n".join(result(SearchRun.open(elsewhere / AWKWARD))))
    check(printed)
    (costs,) = [text for text in printed if text.startswith("nas cost")]
    told = json.loads(nas(*shlex.split(costs)[1:], "--json").out)
    assert told["macs"] == cost(SearchRun.open(elsewhere / AWKWARD).best, "16x172x172@5").macs
