# What the scripts of this directory share; sourced, never run.

set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The command; VERDICT_BINARY names another build of it, which cluster/up then takes as it is.
verdict=${VERDICT_BINARY:-$repository/.build/release/verdict}
directory=.verdict

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

usage_error() {
    printf '%s: %s\nTry: %s --help\n' "$(basename "$0")" "$*" "$0" >&2
    exit 2
}

# The value of an option: value "$@" with the option first.
value() {
    [ $# -ge 2 ] || usage_error "$1 needs a value"
    printf '%s' "$2"
}

# Makes the cluster's directory absolute: a node's process is known by its command line.
resolve_directory() {
    directory=$(realpath -m -- "$directory")
}

require_cluster() {
    resolve_directory
    [ -f "$directory/cluster.json" ] || fail "there is no cluster in $directory; cluster/up starts one"
    [ -x "$verdict" ] || fail "$verdict is missing; cluster/up makes the release build"
}

# Reads the command line of a script that takes one node: sets node and directory.
one_node() {
    node=
    while [ $# -gt 0 ]; do
        case "$1" in
            --help | -h) help && exit 0 ;;
            --data) directory=$(value "$@"); shift 2 ;;
            -*) usage_error "unknown option $1" ;;
            *)
                [ -z "$node" ] || usage_error "unexpected operand $1"
                node=$1 && shift
                ;;
        esac
    done
    [[ "$node" =~ ^[1-9]$ ]] || usage_error "the number of a node is missing or is none: \"$node\""
    require_cluster
    # Its exit status 2 says that there is no such node.
    process_of "$node" >/dev/null || [ $? -eq 1 ] || exit 2
}

# Prints a node's process; status 1 if it does not run.
process_of() {
    "$verdict" local pid --dir "$directory" --node "$1"
}

numbers() {
    "$verdict" local nodes --dir "$directory" | cut -d ' ' -f 1
}

set_pid() {
    "$verdict" local set-pid --dir "$directory" --node "$1" --pid "$2"
}

# Starts a node in a session of its own, so that it outlives the script and its terminal.
start_node() {
    local number=$1
    local data="$directory/node-$number"
    mkdir -p "$data"
    SWIFT_BACKTRACE=enable=no setsid nohup \
        "$verdict" serve --config "$directory/node-$number.json5" \
        >>"$data/log" 2>&1 </dev/null &
    local pid=$!
    set_pid "$number" "$pid"
    # It is not known as the node before it has become the command; it may also have ended by now.
    local tries=100
    while ! process_of "$number" >/dev/null && kill -0 "$pid" 2>/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || break
        sleep 0.02
    done
}

# Waits until a process is gone: gone NODE SECONDS.
gone() {
    local tries=$(($2 * 20))
    while process_of "$1" >/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}
