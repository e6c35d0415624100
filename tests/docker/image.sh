#!/usr/bin/env bash
# Builds the worker image from docker/Dockerfile without a Docker engine or a registry, and trains a pack in it as the
# user of the image; the results must equal those of .venv. Must run as root on Debian or Ubuntu. buildah and debootstrap
# are installed if they are missing. All other files are in a temporary folder, which is removed at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

needed_gib=26 # the vfs driver of buildah stores every image and container as a full copy
python=$PWD/.venv/bin/python
certificates=/etc/ssl/certs/ca-certificates.crt

fail() {
    echo "test-image: $*" >&2
    exit 1
}

report() { echo "test-image: $* ($((SECONDS / 60)) min $((SECONDS % 60)) s)"; }

missing=()
for tool in buildah debootstrap; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
((EUID == 0)) || fail "buildah needs root to build without an engine; run this script as root"
place=${TMPDIR:-/tmp}
free_gib=$(($(df --output=avail --block-size=1G "$place" | tail -n 1)))
((free_gib >= needed_gib)) ||
    fail "$place has $free_gib GiB free, but $needed_gib GiB are needed; set TMPDIR to a folder on a larger disk"
if ((${#missing[@]})); then
    command -v apt-get >/dev/null || fail "${missing[*]} not found; install them"
    report "installing ${missing[*]} with apt-get"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

work=$(mktemp -d "$place/walking-noise-image.XXXXXXXX")
buildah() {
    TMPDIR=$work command buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"
}
clean() {
    buildah rm --all >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

# The container uses the certificates and the package index of this machine.
index=${PIP_INDEX_URL:-$(pip3 config get global.index-url 2>/dev/null || true)}
printf '[global]\ncert = %s\n' "$certificates" >"$work/pip.conf"
[[ -z $index ]] || echo "index-url = $index" >>"$work/pip.conf"
trust=(--volume "$(dirname "$certificates"):$(dirname "$certificates"):ro")

# shellcheck disable=SC2016  # apt-get expands the format
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Component: main' | head -n 1)
report "downloading the base system of Debian"
debootstrap --variant=minbase --include=ca-certificates bookworm "$work/base" \
    "${mirror:-http://deb.debian.org/debian}" >"$work/debootstrap.log" || fail "$(tail -n 1 "$work/debootstrap.log")"
tar --create --file "$work/base.tar" --directory "$work/base" .
rm -rf "$work/base"
base=$(buildah from scratch)
buildah add --quiet "$base" "$work/base.tar" / >/dev/null
buildah commit --quiet --rm "$base" localhost/debian:bookworm-slim >/dev/null
rm "$work/base.tar"

report "building the image"
buildah bud --quiet --isolation chroot "${trust[@]}" --secret "id=pip.conf,src=$work/pip.conf" \
    --build-arg BASE=localhost/debian:bookworm-slim --ignorefile docker/Dockerfile.dockerignore \
    --file docker/Dockerfile --tag localhost/walking_noise . >"$work/build.log" 2>&1 ||
    {
        tail -n 20 "$work/build.log"
        fail "the build of the image failed, see the log above"
    }
buildah images --format '{{.Name}} {{.Size}}' | sed 's/^/test-image: /'

report "training a pack in the image"
worker=$(buildah from localhost/walking_noise)
inside() { buildah run --isolation chroot --volume "$PWD/tests/docker/trained.py:/trained.py:ro" "$worker" -- "$@"; }
inside python /trained.py --not-as-root >"$work/inside.txt"
PYTHONPATH=$PWD "$python" tests/docker/trained.py >"$work/beside.txt"
diff "$work/inside.txt" "$work/beside.txt" || fail "the results of the image differ from those of .venv"
inside walking-noise --version
inside pip check
report "passed: $(wc -l <"$work/inside.txt") runs as user $(inside id -un), results equal to those of .venv"
