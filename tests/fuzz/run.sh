#!/usr/bin/env bash
# Searches for inputs that break a fuzz target, guided by coverage.
#   tests/fuzz/run.sh [SECONDS] [TARGET...]   60 s for all targets together by default
# It is libFuzzer without `cargo fuzz`, which needs a nightly compiler: docs/architecture.md says why, and what the 45 s
# in CI are for. Inputs that reach new code stay in the cache. One that breaks a target is printed with its file: once
# the bug is fixed, move that file to tests/fuzz/corpus/TARGET, where each test run tries it.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-60}
targets=("${@:2}")
if ((${#targets[@]} == 0)); then
  targets=(log snapshot archive record shape mask cypher query identifier)
fi
cache="${XDG_CACHE_HOME:-$HOME/.cache}/kgrca/fuzz"
each=$((seconds / ${#targets[@]}))
if ((each < 1)); then each=1; fi

# Counters and comparisons for libFuzzer. No sanitizer: the code has nothing unsafe to watch, and without one the
# stable compiler will do. With --target the flags are not those of build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
flags=(-Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=("-Cllvm-args=-sanitizer-coverage-$option")
done
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
CARGO_TARGET_DIR="$cache/target" cargo build --quiet --locked --profile fuzz --target "$host" \
  --package kgrca-fuzz --features libfuzzer
program="$cache/target/$host/fuzz/kgrca-fuzz"

broken=0
for target in "${targets[@]}"; do
  found="$cache/corpus/$target" log="$cache/$target.log"
  mkdir -p "$found" "$cache/broken"
  if KGRCA_FUZZ_TARGET=$target "$program" "$found" "tests/fuzz/corpus/$target" -max_total_time="$each" -timeout=5 \
    -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1 -artifact_prefix="$cache/broken/$target-" >"$log" 2>&1; then
    edges=$(grep -o 'cov: [0-9]*' "$log" | sed -n '1p;$p' | tr -dc '0-9\n' | paste -sd ' ')
    inputs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
    printf '%-10s %9s inputs in %s s; edges from %s to %s\n' "$target" "$inputs" "$each" "${edges% *}" "${edges#* }"
  else
    broken=1
    printf '%-10s broken\n' "$target"
    grep -E -A2 'panicked|ERROR|Test unit written|SUMMARY' "$log" || tail -n 20 "$log"
  fi
done
exit "$broken"
