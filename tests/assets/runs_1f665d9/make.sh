#!/usr/bin/env bash
# Makes the runs of this folder again, with the code of commit 1f665d9, into the folder OUTPUT:
#
#     PYTHON=.venv/bin/python tests/assets/runs_1f665d9/make.sh OUTPUT
#
# Times, names of TensorBoard's files and the steps at which runs were interrupted come out differently.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
python=$(realpath -s "$(command -v "${PYTHON:-python}")")
mkdir -p "$1"
output=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'cd "$here"; git worktree remove --force "$work/code"; rm -rf "$work"' EXIT
git -C "$here" worktree add --quiet --detach "$work/code" 1f665d9
mkdir "$work/made"
cp "$here"/*.yaml "$work/made"
cd "$work/made"
export PYTHONPATH=$work/code MPLBACKEND=Agg OMP_NUM_THREADS=1
"$python" -c "import searchspace; assert searchspace.__file__.startswith('$work'), searchspace.__file__"

nas() { "$python" -m experiments.cli "$@"; }

interrupted() { # COUNT FILE WORDS...: `nas WORDS`, stopped by Ctrl-C once FILE has COUNT lines
    local count=$1 file=$2
    shift 2
    # A job in the background ignores Ctrl-C: the process takes Python's own handler back.
    "$python" -c 'import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)
from experiments.cli import main; sys.exit(main(sys.argv[1:]))' "$@" &
    local process=$! code=0
    until [ -f "$file" ] && [ "$(wc -l <"$file")" -ge "$count" ]; do
        kill -0 $process
        sleep 0.02
    done
    kill -INT $process
    wait $process || code=$?
    [ $code -eq 130 ]
}

search=(--space small.yaml --clip 4x32x32@5 --search-resolution 16 --budget 700k --threads 1 --device cpu
    --set micro_batch=8 --set look_clips=16 --set checkpoint_every=4)
train=(--clip 4x16x16 --batch 8 --threads 1 --device cpu --workers 0
    --set schedule.epoch_clips=16 --set evaluation.clips=16)
trials=(wide.yaml --trials 3 --budget 1M --clip 4x32x32@5 --search-resolution 16 --clips 16 --first-clips 8
    --reduction 2 --batch 8 --members A1:A3 --workers 1 --threads 1)

nas data demo --output videos --train 3 --val 1 --clip 8x16x16@5
nas search "${search[@]}" --steps 16 --name search
interrupted 10 runs/search-half/metrics.csv search "${search[@]}" --steps 40 --name search-half
interrupted 6 runs/videos-search-half/metrics.csv search "${search[@]}" --steps 40 --data videos --name videos-search-half
nas retrain runs/search "${train[@]}" --epochs 2 --stream --name retrain
interrupted 4 runs/retrain-half/metrics.csv retrain runs/search "${train[@]}" --epochs 12 --name retrain-half
nas retrain runs/search "${train[@]}" --epochs 2 --keep 1 --ensemble 2 --name pair
nas retrain runs/search "${train[@]}" --epochs 2 --data videos --name videos-retrain
interrupted 10 runs/videos-half/metrics.csv retrain runs/search "${train[@]}" --epochs 3 --data videos --name videos-half
nas scale "${trials[@]}" --name family
interrupted 5 runs/family-half/trials.jsonl scale "${trials[@]}" --name family-half
nas retrain runs/family "${train[@]}" --epochs 1 --seeds 2 --members A1:A2
# At a rate of 0 this is the network as it is cut out of the shared weights.
nas retrain runs/search "${train[@]}" --epochs 1 --init runs/search --set optimizer.lr=0 --name from-search
"$python" "$here/remember.py"
rm -r runs/from-search

# Pictures, pages and TensorBoard's files are drawn from the rest, and no command reads them.
find runs -name '*.png' -delete -o -name '*.html' -delete -o -name 'events.out.tfevents.*' -delete
cp logits.npz said.json "$output"
for folder in videos runs/*; do
    tar --sort=name --owner=0 --group=0 --numeric-owner -C "$(dirname "$folder")" -c "$(basename "$folder")" |
        gzip -n9 >"$output/$(basename "$folder").tar.gz"
done
