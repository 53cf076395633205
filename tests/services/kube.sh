#!/usr/bin/env bash
# A Kubernetes control plane without containers; kwok plays nodes and kubelets.
# install FOLDER | start FOLDER DATA PORT | nodes FOLDER DATA FIRST COUNT | stop DATA
# PORT is the API server's; PORT+1 and PORT+2 are etcd's, PORT+3 is kwok's. The administrator's kubeconfig: DATA/kubeconfig.
set -euo pipefail
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"
source=$(cd "$(dirname "$0")/kube" && pwd)
version=v1.34.4 kwok=v0.8.0

build() {
  command -v go >/dev/null 2>&1 || {
    printf 'error: go is missing\nhint: install Go 1.26 or newer: https://go.dev/doc/install\n' >&2
    exit 1
  }
  local known="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/client-go/pkg/version.gitVersion=$version" stages
  (cd "$source" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $known" -o "$1/kube" .)
  CGO_ENABLED=0 GOBIN=$1 go install -trimpath -ldflags '-s -w' "sigs.k8s.io/kwok/cmd/kwok@$kwok"
  # kwok does nothing on its own: what nodes and pods do is defined by stages, which are in its module.
  stages=$(cd / && go mod download -json "sigs.k8s.io/kwok@$kwok" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')/kustomize/stage
  for stage in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease pod/fast/pod-{ready,complete,delete}; do
    printf -- '---\n'
    cat "$stages/$stage.yaml"
  done >"$1/stages.yaml"
}

# Certificates and a kubeconfig: one who signs, the server, the administrator, and a key for tokens of service accounts.
keys() { # DATA PORT
  [ -f "$1/kubeconfig" ] && return 0
  local curve=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  (
    cd "$1"
    openssl req -x509 "${curve[@]}" -days 30 -subj /CN=ca -keyout ca.key -out ca.crt \
      -addext keyUsage=critical,keyCertSign,cRLSign
    : >index.txt
    printf '%s\n' '[ca]' 'default_ca=own' '[own]' database=index.txt new_certs_dir=. rand_serial=yes default_md=sha256 \
      policy=any email_in_dn=no '[any]' commonName=supplied organizationName=optional >ca.cnf
    # Since yesterday: clients whose clocks are behind take it, too.
    sign() { # NAME SUBJECT EXTENSION...
      local name=$1 subject=$2
      shift 2
      openssl req "${curve[@]}" -subj "$subject" -keyout "$name.key" -out "$name.csr"
      openssl ca -batch -notext -config ca.cnf -cert ca.crt -keyfile ca.key -in "$name.csr" -out "$name.crt" \
        -startdate "$(date -u -d '1 day ago' +%y%m%d%H%M%SZ)" -days 30 -extfile <(printf '%s\n' "$@")
    }
    sign server /CN=kube-apiserver extendedKeyUsage=serverAuth \
      subjectAltName=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc
    sign admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
    openssl genrsa -out accounts.key 2048
    printf 'admin-token,admin,admin,system:masters\n' >tokens.csv
  ) >"$1/keys.log" 2>&1
  cat >"$1/kubeconfig" <<X
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin}}]
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$2", certificate-authority-data: $(base64 -w0 "$1/ca.crt")}}]
users: [{name: admin, user: {client-certificate-data: $(base64 -w0 "$1/admin.crt"), client-key-data: $(base64 -w0 "$1/admin.key")}}]
X
}

# Starts a program of a folder of its own, unless it runs.
run() { # DATA NAME COMMAND...
  local data=$1 name=$2
  shift 2
  mkdir -p "$data/$name"
  alive "$data/$name" && return 0
  setsid "$@" </dev/null >>"$data/$name/log" 2>&1 &
  echo $! >"$data/$name/pid"
}

ready() { # DATA PORT
  curl -fsS --cacert "$1/ca.crt" -H 'Authorization: Bearer admin-token' "https://127.0.0.1:$2/readyz" >/dev/null 2>&1
}

kubectl() { # FOLDER DATA ARGUMENT...
  local folder=$1 data=$2
  shift 2
  "$folder/kube" kubectl --kubeconfig "$data/kubeconfig" "$@"
}

# Until it is there, pods are refused.
has_account() { kubectl "$1" "$2" get serviceaccount default >/dev/null 2>&1; }

# Until all are, asked at once: `kubectl wait` asks node by node.
are_ready() { # FOLDER DATA COUNT
  [ "$(kubectl "$1" "$2" get nodes --no-headers 2>/dev/null | grep -c ' Ready ')" -ge "$3" ]
}

start() { # FOLDER DATA PORT
  local folder=$1 data=$2 port=$3
  local etcd="http://127.0.0.1:$((port + 1))" peer="http://127.0.0.1:$((port + 2))"
  mkdir -p "$data"
  keys "$data" "$port"
  run "$data" etcd "$folder/kube" etcd --data-dir "$data/etcd/data" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "$etcd" --advertise-client-urls "$etcd" --listen-peer-urls "$peer" \
    --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer" --quota-backend-bytes 4294967296
  await "$data/etcd" "$data/etcd/log" listens $((port + 1))
  # shellcheck disable=SC2086 # several arguments
  run "$data" apiserver "$folder/kube" kube-apiserver --etcd-servers "$etcd" --bind-address 127.0.0.1 \
    --advertise-address 127.0.0.1 --secure-port "$port" --tls-cert-file "$data/server.crt" \
    --tls-private-key-file "$data/server.key" --client-ca-file "$data/ca.crt" --token-auth-file "$data/tokens.csv" \
    --authorization-mode RBAC --service-cluster-ip-range 10.96.0.0/16 --allow-privileged --endpoint-reconciler-type none \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$data/accounts.key" \
    --service-account-signing-key-file "$data/accounts.key" --kubelet-certificate-authority "$data/ca.crt" \
    --kubelet-client-certificate "$data/admin.crt" \
    --kubelet-client-key "$data/admin.key" --enable-priority-and-fairness=false --max-requests-inflight 3000 \
    --max-mutating-requests-inflight 1000 ${KUBE_APISERVER_OPTIONS:-}
  await "$data/apiserver" "$data/apiserver/log" ready "$data" "$port"
  run "$data" manager "$folder/kube" kube-controller-manager --kubeconfig "$data/kubeconfig" --leader-elect=false \
    --secure-port 0 --root-ca-file "$data/ca.crt" --service-account-private-key-file "$data/accounts.key" \
    --kube-api-qps 1000 --kube-api-burst 2000
  run "$data" scheduler "$folder/kube" kube-scheduler --kubeconfig "$data/kubeconfig" --leader-elect=false --secure-port 0 \
    --kube-api-qps 1000 --kube-api-burst 2000
  run "$data" kwok "$folder/kwok" --kubeconfig "$data/kubeconfig" --config "$folder/stages.yaml" --manage-all-nodes \
    --server-address "127.0.0.1:$((port + 3))" --node-port $((port + 3)) --tls-cert-file "$data/server.crt" \
    --tls-private-key-file "$data/server.key" --node-ip 127.0.0.1 --node-lease-duration-seconds 40 --cidr 10.244.0.0/16
  # Another process may have taken its port: whoever starts us then tries others.
  await "$data/kwok" "$data/kwok/log" serves "$data" $((port + 3))
  await "$data/manager" "$data/manager/log" has_account "$folder" "$data"
}

serves() { # DATA PORT
  curl -sf --cacert "$1/ca.crt" "https://127.0.0.1:$2/healthz" >/dev/null
}

nodes() { # FOLDER DATA FIRST COUNT
  local i
  for i in $(seq "$3" $(($3 + $4 - 1))); do
    cat <<X
---
apiVersion: v1
kind: Node
metadata:
  name: node-$i
  labels: {kubernetes.io/hostname: node-$i, kubernetes.io/os: linux, topology.kubernetes.io/zone: zone-$((i % 3))}
status:
  allocatable: {cpu: "32", memory: 256Gi, ephemeral-storage: 100Gi, pods: "250"}
  capacity: {cpu: "32", memory: 256Gi, ephemeral-storage: 100Gi, pods: "250"}
X
  done | kubectl "$1" "$2" apply --server-side -f - >/dev/null
  await "$2/kwok" "$2/kwok/log" are_ready "$1" "$2" $(($3 + $4))
}

case ${1:?verb} in
install)
  mkdir -p "${2:?folder}"
  folder=$(cd "$2" && pwd)
  stamp="$version $kwok $(cat "$source/main.go" "$source/go.sum" | sha256sum)"
  [ "$(cat "$folder/installed" 2>/dev/null)" = "$stamp" ] && exit 0
  build "$folder"
  echo "$stamp" >"$folder/installed"
  ;;
start) start "${2:?folder}" "${3:?data}" "${4:?port}" ;;
nodes) nodes "${2:?folder}" "${3:?data}" "${4:?first}" "${5:?count}" ;;
stop)
  # etcd last, when nothing writes to it.
  for program in kwok scheduler manager apiserver etcd; do stop "${2:?data}/$program"; done
  ;;
*) exit 2 ;;
esac
