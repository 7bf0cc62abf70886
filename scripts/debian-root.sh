# shellcheck shell=bash
# For scripts that need a Debian of their own (cross builds, packages, the first-hour test): roots that are made
# with mmdebstrap, kept as archives, and entered without leaving a mount or a process behind. Needs root.

roots=${BL2MQTT_ROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/bl2mqtt/roots}

root_tools() { # installs what makes roots, on this machine
    [ "$(id -u)" = 0 ] || { echo "$0: needs root: it makes a Debian root and enters it" >&2; exit 1; }
    command -v mmdebstrap >/dev/null ||
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends mmdebstrap >&2
}

root_foreign() { # root_foreign ARCH: lets this kernel run that processor's programs, by qemu-user
    local name
    case "$1" in
    "$(dpkg --print-architecture)") return 0 ;;
    arm64) name=qemu-aarch64 ;;
    armhf) name=qemu-arm ;;
    *) echo "$0: no emulator is known for $1" >&2; return 1 ;;
    esac
    [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    # mmdebstrap asks arch-test.
    { [ -e "/usr/lib/binfmt.d/$name.conf" ] && command -v arch-test >/dev/null; } ||
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends qemu-user-static arch-test >&2
    # Installing may have done it. The kernel keeps the emulator open, so that it is there in every root.
    [ -e "/proc/sys/fs/binfmt_misc/$name" ] || cat "/usr/lib/binfmt.d/$name.conf" >/proc/sys/fs/binfmt_misc/register
}

# root_base SUITE [ARCH]: prints the archive of a minimal Debian, made if it is not there
root_base() {
    local arch=${2:-$(dpkg --print-architecture)}
    local archive=$roots/$1-$arch.tar
    [ "$arch" != "$(dpkg --print-architecture)" ] || archive=$roots/$1.tar
    if [ ! -e "$archive" ]; then
        mkdir -p "$roots"
        echo "Making a minimal Debian $1 in $archive" >&2
        # The release without later updates: these can be newer for one architecture than for another, and then
        # libraries of both cannot be installed beside each other.
        # shellcheck disable=SC2016 # mmdebstrap gives the folder to the hook
        mmdebstrap --quiet --variant=minbase --architectures="$arch" --setup-hook='sed -i -E "/-security|-updates/d" "$1/etc/apt/sources.list"' \
            --format=tar "$1" "$archive.new" >&2
        mv "$archive.new" "$archive"
    fi
    echo "$archive"
}

root_new() { # root_new SUITE FOLDER [ARCH]: unpacks a minimal Debian
    local archive
    root_foreign "${3:-$(dpkg --print-architecture)}" || return 1
    archive=$(root_base "$1" "${3:-}")
    mkdir -p "$2"
    tar -C "$2" --exclude='./dev/*' -xf "$archive"
    cp /etc/resolv.conf "$2/etc/resolv.conf"
}

# root_run FOLDER COMMAND...: runs the command in the root. The mounts live in a namespace of their own and end
# with the command; so does every process that it started. ROOT_BIND=SOURCE:PLACE also mounts a folder.
root_run() {
    local folder=$1
    shift
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --pid --fork --kill-child sh -c '
        root=$1 && shift
        mount --make-rprivate /
        mount --rbind /dev "$root/dev"
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys"
        if [ -n "${ROOT_BIND:-}" ]; then
            mkdir -p "$root${ROOT_BIND#*:}"
            mount --bind "${ROOT_BIND%%:*}" "$root${ROOT_BIND#*:}"
        fi
        unset ROOT_BIND
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root \
            TERM="${TERM:-dumb}" DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
    ' sh "$folder" "$@"
}

root_remove() { # root_remove FOLDER
    [ -z "$1" ] || rm -rf --one-file-system "$1"
}

root_source() { # root_source FOLDER: the project as it stands in the work tree, without what git ignores
    mkdir -p "$1"
    git ls-files -z --cached --others --exclude-standard | xargs -0 tar -cf - --ignore-failed-read 2>/dev/null |
        tar -C "$1" -xf -
    # There is no .git to ask.
    scripts/version >"$1/.version"
}

# root_with NAME SUITE SCRIPT: prints the folder of a kept root in which SCRIPT has run once. It is made anew when
# the script changes.
root_with() {
    local folder=$roots/$1 script=$3
    if [ "$(cat "$folder/.made-by" 2>/dev/null || true)" != "$script" ]; then
        root_remove "$folder"
        root_new "$2" "$folder" || return 1
        echo "Preparing the root $folder" >&2
        root_run "$folder" sh -euc "$script" >&2 || return 1
        printf '%s' "$script" >"$folder/.made-by"
    fi
    echo "$folder"
}
