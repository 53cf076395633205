#!/usr/bin/env bash
# Vault with TLS and a key of its transit engine: install FOLDER | start FOLDER DATA PORT | stop DATA
# It stores in files, so that it survives being killed; `start` unseals it. DATA/root-token is for administration, DATA/token
# may encrypt and decrypt with transit/kgrca and nothing else, DATA/ca.crt signs its certificate.
set -euo pipefail
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"
source=$(cd "$(dirname "$0")/vault" && pwd)

build() { # FOLDER
  command -v go >/dev/null 2>&1 || {
    printf 'error: go is missing\nhint: install Go 1.26 or newer: https://go.dev/doc/install\n' >&2
    exit 1
  }
  (cd "$source" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$1/vault" .)
}

certificate() { # DATA
  local curve=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  openssl req -x509 "${curve[@]}" -days 30 -subj /CN=ca -keyout "$1/ca.key" -out "$1/ca.crt" -addext keyUsage=critical,keyCertSign
  openssl req "${curve[@]}" -subj /CN=vault -keyout "$1/server.key" -out "$1/server.csr"
  openssl x509 -req -in "$1/server.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days 30 -out "$1/server.crt" \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n')
}

# Sends a request, as the administrator once there is one; prints the answer.
api() { # PATH [JSON]
  curl -fsS --cacert "$data/ca.crt" -H "X-Vault-Token: $(cat "$data/root-token" 2>/dev/null)" --data "${2:-{\}}" \
    "https://127.0.0.1:$port/v1/$1"
}

# The first value of a name in the JSON on standard input.
value() { sed -n "s/.*\"$1\":\\[*\"\\([^\"]*\\)\".*/\\1/p"; }

unseal() { api sys/unseal "{\"key\": \"$(value keys_base64 <"$data/init.json")\"}"; }

# A policy with the right to use the key.
policy() { # NAME ACT...
  local name=$1 act rules=
  shift
  for act in "$@"; do rules+="path \\\"transit/$act/kgrca\\\" { capabilities = [\\\"update\\\"] } "; done
  api "sys/policies/acl/$name" "{\"policy\": \"$rules\"}"
}

# A key in the transit engine, and a token that may use it.
set_up() {
  umask 077
  api sys/init '{"secret_shares": 1, "secret_threshold": 1}' >"$data/init.json"
  value root_token <"$data/init.json" >"$data/root-token"
  unseal
  api sys/mounts/transit '{"type": "transit"}'
  api transit/keys/kgrca
  policy kgrca encrypt decrypt
  policy only-encrypt encrypt
  policy only-decrypt decrypt
  api auth/token/create-orphan '{"policies": ["kgrca"], "no_default_policy": true}' | value client_token >"$data/token"
}

case ${1:?verb} in
install)
  mkdir -p "${2:?folder}"
  folder=$(cd "$2" && pwd)
  stamp=$(find "$source" -type f -print0 | LC_ALL=C sort -z | xargs -0 cat | sha256sum)
  [ "$(cat "$folder/installed" 2>/dev/null)" = "$stamp" ] && exit 0
  build "$folder"
  echo "$stamp" >"$folder/installed"
  ;;
start)
  folder=${2:?folder} port=${4:?port}
  mkdir -p "${3:?data}"
  data=$(cd "$3" && pwd)
  alive "$data" && exit 0
  [ -f "$data/server.crt" ] || certificate "$data" >"$data/setup.log" 2>&1
  setsid "$folder/vault" "$data" "127.0.0.1:$port" </dev/null >>"$data/log" 2>&1 &
  echo $! >"$data/pid"
  await "$data" "$data/log" listens "$port"
  set -E
  trap 'tail -20 "$data/setup.log" "$data/log" >&2' ERR
  if [ -s "$data/token" ]; then unseal >>"$data/setup.log"; else set_up >>"$data/setup.log"; fi
  ;;
stop) stop "${2:?data}" ;;
*) exit 2 ;;
esac
