# Helpers shared by the scripts of this repository. Source it; it defines functions and nothing else happens.
# Everything here runs on bash 3.2 too, which is what macOS has.
# shellcheck shell=bash

# note TEXT...: one line of progress on stderr, so that stdout stays free for results.
note() { printf '%s\n' "$*" >&2; }

# die TEXT...: says why and ends the script.
die() {
    note "${0##*/}: $*"
    exit 1
}

# usage: prints the header comment of the running script (from line 2 to the first line that is no comment).
usage() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p;}' "$0"; }

# need COMMAND HOW: ends the script unless COMMAND is on PATH; HOW names the command that installs it.
need() {
    command -v "$1" >/dev/null 2>&1 || die "\`$1\` is missing. Install it: $2"
}

# cache_directory: where downloaded tools live, outside version control. Created if absent.
cache_directory() {
    local directory="${FOOTBRIDGE_CACHE:-$PWD/target/tools}"
    mkdir -p "$directory"
    (cd "$directory" && pwd)
}

# digest FILE...: one checksum over the contents, to tell whether an installation is still the one asked for.
digest() { cat "$@" | cksum | tr ' ' '-'; }

# sha256 FILE...: one line each, in the form that `sha256sum --check` reads.
sha256() {
    if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}

# absolute PATH FOLDER: PATH as seen from FOLDER, for scripts that change into the repository before they look at it.
absolute() {
    case "$1" in
    /* | [A-Za-z]:*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$2/$1" ;;
    esac
}

# free_port: a port on 127.0.0.1 that nobody listens on right now.
free_port() {
    local port attempt
    for attempt in {1..50}; do
        # Below the ephemeral range (32768 up on Linux), where an outgoing connection cannot take it meanwhile.
        port=$((20000 + (RANDOM + attempt) % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return
        fi
    done
    die "found no free port in 50 attempts"
}

# wait_for_port PORT PID SECONDS: returns once PORT accepts; fails when PID is gone or time is up.
wait_for_port() {
    local port="$1" pid="$2" deadline=$((SECONDS + $3))
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || return 1
        ((SECONDS < deadline)) || return 1
        sleep 0.05
    done
}

# start_group VARIABLE COMMAND...: starts COMMAND in the background as the leader of its own process group, so that
# whatever it starts in turn can be stopped with it; VARIABLE becomes the group's id.
start_group() {
    local variable="$1"
    shift
    set -m
    "$@" </dev/null &
    set +m
    printf -v "$variable" '%s' "$!"
}

# stop_group GROUP SECONDS: SIGTERM, and SIGKILL if anything of it still runs after SECONDS; 1 if that was needed.
stop_group() {
    local group="$1" deadline=$((SECONDS + $2))
    kill -- "-$group" 2>/dev/null || return 0
    while kill -0 -- "-$group" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            kill -9 -- "-$group" 2>/dev/null || true
            return 1
        fi
        sleep 0.05
    done
}

# What every script builds for development has what is off by default, too: one build of the server runs all of its tests,
# and lints share it. What ships is built without, and is what benchmarks, crashes and clients are tried on.
# shellcheck disable=SC2034  # those who source this use it
tested_features=(--features footbridge-server/otel)

# step TEXT...: a heading of progress on stderr.
step() { printf '\n== %s\n' "$*" >&2; }

# Debian keeps PostgreSQL's server programs out of PATH.
for directory in /usr/lib/postgresql/*/bin; do
    if [[ -d $directory ]]; then PATH="$directory:$PATH"; fi
done
export PATH
