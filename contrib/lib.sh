# Shell functions that the scripts in contrib/ share. Sourced by bash; `root` is the source tree.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\033[1m%s\033[0m\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }
die() {
    complain "$(basename "$0"): $*"
    exit 1
}

build_packages="autoconf automake libtool pkg-config make gcc libc6-dev libevent-dev libssl-dev libjansson-dev
    libsodium-dev libsqlite3-dev libyaml-dev libsecp256k1-dev libseccomp-dev
    zlib1g-dev"

# Those of the given Debian packages that are not installed.
missing_packages() {
    local name
    for name in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || echo "$name"
    done
}

# Installs what is missing of the given packages; fails with the command to type when it may not.
install_packages() {
    local missing as_root=""
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -z "$missing" ] && return 0
    command -v apt-get >/dev/null || die "these packages are missing, and there is no apt-get here: $missing"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "packages are missing; as root, type: apt-get install $missing"
        as_root=sudo
    fi
    say "installing $missing"
    # shellcheck disable=SC2086 # one word per package
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing \
        >/dev/null 2>&1 && return 0
    $as_root apt-get -qq update
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing \
        >/dev/null || die "could not install: $missing"
}

# The packages that bring the given programs, where these are missing: programs may have come from elsewhere than Debian.
# packages_for PROGRAM PACKAGE [PROGRAM PACKAGE]...
packages_for() {
    while [ $# -gt 0 ]; do
        command -v "$1" >/dev/null || echo "$2"
        shift 2
    done
}

# A TCP port on loopback that nobody listens on.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# Makes `configure` in the given tree where it is missing or older than what it is made from.
make_configure() {
    local tree=$1
    if [ ! -x "$tree/configure" ] || [ -n "$(find "$tree" -path "$tree/build" -prune -o \
        \( -name '*.mk' -o -name configure.ac -o -name Makefile.am \) -newer "$tree/configure" -print -quit)" ]; then
        (cd "$tree" && autoreconf -fi) >"${TMPDIR:-/tmp}/aegis-autoreconf.$$" 2>&1 || {
            cat "${TMPDIR:-/tmp}/aegis-autoreconf.$$" >&2
            die "autoreconf failed"
        }
        rm -f "${TMPDIR:-/tmp}/aegis-autoreconf.$$"
    fi
}

# quietly LOG COMMAND...: the output goes to LOG and is shown only when the command fails.
quietly() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 || {
        tail -40 "$log" >&2
        return 1
    }
}
