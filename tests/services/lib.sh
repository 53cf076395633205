# Shared by the scripts that start servers for tests: `install FOLDER`, `start FOLDER DATA PORT`, `stop DATA`.
# Everything is on loopback; a server is known by the process id in DATA/pid.
# shellcheck shell=bash

# Installs packages of the system.
install_packages() {
  command -v apt-get >/dev/null 2>&1 || {
    printf 'error: %s is missing\nhint: install it with the package manager of this machine\n' "$1" >&2
    exit 1
  }
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Whether the server of a folder runs. One that was just killed may linger as a zombie: that counts as dead.
alive() {
  local state
  [ -f "$1/pid" ] && state=$(ps -o stat= -p "$(cat "$1/pid")") && [[ $state != Z* ]]
}

# Whether something listens on a port.
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Waits until a command succeeds while the server lives, at most a minute; else shows its log.
await() {
  local data=$1 log=$2
  shift 2
  for _ in $(seq 1200); do
    "$@" && return 0
    alive "$data" || break
    sleep 0.05
  done
  tail -20 "$log" >&2
  return 1
}

# Kills the server of a folder by its process id and waits for its end.
stop() {
  if alive "$1"; then kill "-${STOP_SIGNAL:-KILL}" "$(cat "$1/pid")" || true; fi
  for _ in $(seq 600); do
    alive "$1" || break
    sleep 0.05
  done
  rm -f "$1/pid"
}

# Makes sure that Java and Maven are there.
java_tools() {
  command -v java >/dev/null 2>&1 && command -v mvn >/dev/null 2>&1 && return 0
  install_packages default-jre-headless maven
}

# Copies artefacts with what they need into FOLDER/lib: jars FOLDER GROUP:NAME:VERSION...
jars() {
  local folder=$1 artefact
  shift
  {
    printf '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    printf '<groupId>test</groupId><artifactId>test</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
    for artefact in "$@"; do
      IFS=: read -r group name version <<<"$artefact"
      printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>' "$group" "$name" "$version"
    done
    printf '</dependencies></project>\n'
  } >"$folder/pom.xml"
  rm -rf "${folder:?}/lib"
  mvn -q -B -f "$folder/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$folder/lib"
}
