#!/bin/sh
# Sets up the virtual environment that `make search` and `make test` run in; silent and quick when it stands already.
#
#   .ci/setup.sh [EXTRA]      EXTRA: "dev" for what `make test` needs on top
#
#   VENV        where (default .venv)                  PYTHON     which interpreter (default: the first that will do)
#   PIP_FLAGS   further words for every `pip install`  such as --extra-index-url URL
#
# Every failure ends in one line that says what to do. pip's own messages go to $VENV/setup.log.
set -eu
cd "$(dirname "$0")/.."

extra=${1:-}
venv=${VENV:-.venv}
flags=${PIP_FLAGS:-}
oldest=3.11
goal=${SETUP_GOAL:-search} # the make target, for the advice that we print
log="$venv/setup.log"
stamp="$venv/.setup-${extra:-run}"

fail() {
    echo "set-up: error: $*" >&2
    exit 1
}

new_enough() { # does this interpreter exist, run, and count as new enough?
    "$1" -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$oldest'.split('.'))))" 2>/dev/null
}

# Content, not dates: a checkout or a moved folder changes dates or paths, and neither says what is installed.
wanted() {
    pwd
    cat pyproject.toml constraints.txt .ci/setup.sh | cksum
}

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] && new_enough "$venv/bin/python"; then
    exit 0
fi

# 1. An interpreter.
python=""
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    found=$("${PYTHON:-python3}" -c 'import platform; print("this is Python " + platform.python_version())' 2>/dev/null) ||
        found="none was found"
    fail "Python $oldest or newer is needed, $found: install one, then: make $goal PYTHON=python$oldest"
fi

# 2. Room on the disk, before anything is written.
free_mb() { df -Pk "$(dirname "$venv")" | awk 'NR == 2 { print int($4 / 1024) }'; }
need_room() { # MB, what for
    free=$(free_mb)
    [ "$free" -ge "$1" ] ||
        fail "$2 needs $1 MB of free disk, $free MB are left on $(df -Pk "$(dirname "$venv")" | awk 'NR == 2 { print $6 }'): free some, or: make $goal VENV=/path/on/another/disk"
}
need_room 2560 "the installation"

# 3. The environment.
if ! new_enough "$venv/bin/python"; then
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        fail "$python cannot make virtual environments (no venv or ensurepip): on Debian and Ubuntu: sudo apt install python3-venv; then: make $goal"
    fi
    echo "set-up: making the virtual environment $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" ||
        fail "$python -m venv $venv failed (its reason stands above): mend it, or: make $goal PYTHON=another-python"
fi
: >"$log" 2>/dev/null || fail "cannot write to $venv: make it writable, or: make $goal VENV=/another/path"

why() { # what went wrong, from pip's log
    if grep -qiE 'no space left|errno 28|disk quota' "$log"; then
        fail "the disk is full ($(free_mb) MB free): free some room, then: make $goal"
    elif grep -qiE 'name resolution|name or service not known|nodename nor servname|NewConnectionError|connection refused|network is unreachable|connection timed out|read timed out|ProxyError|Max retries|getaddrinfo' "$log"; then
        fail "the package index cannot be reached: check the network or the proxy (or give pip a mirror: make $goal PIP_FLAGS=\"--index-url URL\"), then: make $goal"
    else
        fail "pip failed: $(grep -E 'ERROR' "$log" | tail -n 1 | sed 's/.*ERROR: *//' | cut -c1-200) (the whole story: $log)"
    fi
}

pip() {
    # shellcheck disable=SC2086 # PIP_FLAGS is words
    "$venv/bin/python" -m pip --disable-pip-version-check --retries 2 --log "$log" "$@" $flags 2>/dev/null || why
}

others="about 290 MB"
[ -z "$extra" ] || others="about 380 MB"
bar=""
[ -t 1 ] || bar="--progress-bar off" # a log needs no bars; a terminal shows them even when quiet

# 4. Say what comes, and how much: torch is by far the largest, and pip alone knows which build it would take.
if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    report="$venv/setup-torch.json"
    pip install --quiet --progress-bar off --dry-run --no-deps --constraint constraints.txt --report "$report" torch
    build=$("$venv/bin/python" -c '
import json, sys
print(json.load(open(sys.argv[1]))["install"][0]["metadata"]["version"])' "$report")
    rm -f "$report"
    case "$(uname -s) $build" in
    Linux*+cpu | Darwin* | *BSD*)
        echo "set-up: about to download torch $build (CPU build, about 200 MB) and the other packages ($others); 2 GB on disk" ;;
    *)
        echo "set-up: about to download torch $build with its GPU libraries (about 3 GB) and the other packages ($others); 8 GB on disk"
        echo "set-up: no NVIDIA card? Stop this (Ctrl-C) and take the CPU build, about 200 MB: make $goal PIP_FLAGS=\"--extra-index-url URL\""
        echo "set-up: with the URL that pytorch.org/get-started shows for pip and CPU"
        need_room 8192 "torch with its GPU libraries" ;;
    esac
    # torch first: when it fails, little has been downloaded in vain.
    pip install --quiet $bar --constraint constraints.txt torch
else
    echo "set-up: about to download what is missing in $venv (torch is there; $others at most)"
fi
pip install --quiet $bar --constraint constraints.txt --editable ".${extra:+[$extra]}"

wanted >"$stamp"
echo "set-up: ready in $venv ($("$venv/bin/python" --version), torch $("$venv/bin/python" -c 'import importlib.metadata as m; print(m.version("torch"))'))"
