#!/usr/bin/env bash
# Builds the worker's image from docker/Dockerfile, without a Docker engine or a registry, and trains a pack in it as
# its own user; the numbers must be those of .venv. Root, on Debian or Ubuntu: buildah and debootstrap are installed if
# they are missing. Everything else lies in a temporary folder, which is removed at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

needed_gib=26 # buildah's vfs keeps every image and container as a whole copy
python=$PWD/.venv/bin/python
certificates=/etc/ssl/certs/ca-certificates.crt

refuse() {
    echo "test-image: $*" >&2
    exit 1
}

say() { echo "test-image: $* ($((SECONDS / 60)) min $((SECONDS % 60)) s)"; }

missing=()
for tool in buildah debootstrap; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
((EUID == 0)) || refuse "buildah needs root here to build without an engine; run it as root"
place=${TMPDIR:-/tmp}
free_gib=$(($(df --output=avail --block-size=1G "$place" | tail -n 1)))
((free_gib >= needed_gib)) ||
    refuse "$place has $free_gib GiB free and $needed_gib are needed; set TMPDIR to a larger place"
if ((${#missing[@]})); then
    command -v apt-get >/dev/null || refuse "needs ${missing[*]}; install them"
    say "installing ${missing[*]} with apt-get"
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

# The container trusts whom this machine trusts and takes packages from where this machine takes them.
index=${PIP_INDEX_URL:-$(pip3 config get global.index-url 2>/dev/null || true)}
printf '[global]\ncert = %s\n' "$certificates" >"$work/pip.conf"
[[ -z $index ]] || echo "index-url = $index" >>"$work/pip.conf"
trust=(--volume "$(dirname "$certificates"):$(dirname "$certificates"):ro")

# shellcheck disable=SC2016  # apt-get fills that in
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Component: main' | head -n 1)
say "Debian's base system from its mirror"
debootstrap --variant=minbase --include=ca-certificates bookworm "$work/base" \
    "${mirror:-http://deb.debian.org/debian}" >"$work/debootstrap.log" || refuse "$(tail -n 1 "$work/debootstrap.log")"
tar --create --file "$work/base.tar" --directory "$work/base" .
rm -rf "$work/base"
base=$(buildah from scratch)
buildah add --quiet "$base" "$work/base.tar" / >/dev/null
buildah commit --quiet --rm "$base" localhost/debian:bookworm-slim >/dev/null
rm "$work/base.tar"

say "the image"
buildah bud --quiet --isolation chroot "${trust[@]}" --secret "id=pip.conf,src=$work/pip.conf" \
    --build-arg BASE=localhost/debian:bookworm-slim --ignorefile docker/Dockerfile.dockerignore \
    --file docker/Dockerfile --tag localhost/walking_noise . >"$work/build.log" 2>&1 ||
    {
        tail -n 20 "$work/build.log"
        refuse "the image does not build"
    }
buildah images --format '{{.Name}} {{.Size}}' | sed 's/^/test-image: /'

say "a pack in it"
worker=$(buildah from localhost/walking_noise)
inside() { buildah run --isolation chroot --volume "$PWD/tests/docker/trained.py:/trained.py:ro" "$worker" -- "$@"; }
inside python /trained.py --not-as-root >"$work/inside.txt"
PYTHONPATH=$PWD "$python" tests/docker/trained.py >"$work/beside.txt"
diff "$work/inside.txt" "$work/beside.txt" || refuse "the numbers of the image are not those of .venv"
inside walking-noise --version
inside pip check
say "passed: $(wc -l <"$work/inside.txt") runs as $(inside id -un), equal to those of .venv"
