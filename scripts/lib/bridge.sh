# The bridge as it ships: how it is built, and where it lies then. One folder for every script, so that none builds what
# another one has built. Source it after common.sh.
# shellcheck shell=bash

# bridge_target: the target that ships for this system, if this machine can link it; else nothing, which is cargo's own.
bridge_target() {
    local static
    static="$(uname -m)-unknown-linux-musl"
    [[ $(uname -s) == Linux ]] || return 0
    command -v musl-gcc >/dev/null || return 0
    [[ -d $(rustc --print target-libdir --target "$static" 2>/dev/null) ]] || return 0
    printf '%s\n' "$static"
}

# bridge_program [PROFILE]: where `bridge_build` puts it, or what another profile makes of it.
bridge_program() {
    local static
    static="$(bridge_target)"
    printf '%s\n' "${CARGO_TARGET_DIR:-$PWD/target}/${static:+$static/}${1:-bridge}/footbridge"
}

# bridge_build [PROFILE OPTION...]: builds it as it ships, or under another profile with cargo's options for features, and
# prints where it lies.
bridge_build() {
    local static options=() profile="${1:-bridge}"
    shift || true
    static="$(bridge_target)"
    if [[ $static ]]; then
        options=(--target "$static")
        export "CC_${static//-/_}=musl-gcc"
    fi
    cargo build --profile "$profile" --locked --quiet --package footbridge ${options[@]+"${options[@]}"} "$@" >&2
    bridge_program "$profile"
}

# bridge_lean FILE OPTION...: the small one as FILE, with the features that the options name.
bridge_lean() {
    local file="$1" program
    shift
    mkdir -p "$(dirname "$file")"
    program="$(bridge_build lean --no-default-features "$@")"
    cp "$program" "$file"
}

# bridge_is_static: why the program is another one than what ships for Linux; silent and true if it is the same.
bridge_is_static() {
    [[ -z $(bridge_target) ]] || return 0
    [[ $(uname -s) == Linux ]] || return 0
    note "the bridge is built for this machine's C library, not static as it ships: that takes \`rustup target add $(uname -m)-unknown-linux-musl\` and \`apt-get install musl-tools\`"
    return 1
}
