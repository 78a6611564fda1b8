# Completions of footbridge for bash, made from its table of options.
# Install as ~/.local/share/bash-completion/completions/footbridge
_footbridge() {
    local word="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD - 1]}" command='' seen words
    for seen in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$seen" in
        setup | doctor | login | logout) command="$seen" && break ;;
        esac
    done
    COMPREPLY=()
    case "$previous" in
    --url) return ;;
    --key-env) return ;;
    --key-file) compopt -o default; return ;;
    --ca-file) compopt -o default; return ;;
    --client-cert) compopt -o default; return ;;
    --client-key) compopt -o default; return ;;
    --sign-in) return ;;
    --sign-in-timeout) return ;;
    --client-id) return ;;
    --client-secret-file) compopt -o default; return ;;
    --client-metadata-url) return ;;
    --scopes) return ;;
    --grant) return ;;
    --callback-port) return ;;
    --upstream) return ;;
    --connect-timeout) return ;;
    --response-timeout) return ;;
    --call-timeout) return ;;
    --max-message) return ;;
    --max-in-flight) return ;;
    --log) COMPREPLY=($(compgen -W 'off warn info debug' -- "$word")); return ;;
    --name) return ;;
    esac
    case "$command" in
    setup) words='--url --key-env --key-file --ca-file --client-cert --client-key --allow-http --sign-in --sign-in-timeout --client-id --client-secret-file --client-metadata-url --scopes --grant --callback-port --connect-timeout --log --list --all --direct --bridge --project --name --key-stdin --no-key --print --dry-run --yes --remove --help --version' ;;
    doctor) words='--url --key-env --key-file --ca-file --client-cert --client-key --allow-http --sign-in --sign-in-timeout --client-id --client-secret-file --client-metadata-url --scopes --grant --callback-port --connect-timeout --log --json --help --version' ;;
    login) words='--url --key-env --key-file --ca-file --client-cert --client-key --allow-http --sign-in --sign-in-timeout --client-id --client-secret-file --client-metadata-url --scopes --grant --callback-port --connect-timeout --log --help --version' ;;
    logout) words='--url --key-env --key-file --ca-file --client-cert --client-key --allow-http --sign-in --sign-in-timeout --client-id --client-secret-file --client-metadata-url --scopes --grant --callback-port --connect-timeout --log --help --version' ;;
    *) words='setup doctor login logout --url --key-env --key-file --ca-file --client-cert --client-key --allow-http --sign-in --sign-in-timeout --client-id --client-secret-file --client-metadata-url --scopes --grant --callback-port --upstream --translate --connect-timeout --response-timeout --call-timeout --max-message --max-in-flight --log --help --version' ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _footbridge footbridge
