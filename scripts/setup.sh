# Sourced by scripts/demo, scripts/test and others: finds Python, makes .venv, installs what is pinned. Not run by itself.

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 2; }

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# install_debian PACKAGE WHY: installs a missing Debian package where this user may, and says so; else returns 1.
install_debian() {
  may_install || return 1
  say "installing Debian package $1: $2"
  local told
  [ -n "${STILE_APT_UPDATED:-}" ] || { apt-get -qq update >&2 || true; STILE_APT_UPDATED=1; }
  told=$(DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$1" 2>&1 </dev/null) \
    || { say "$told"; return 1; }
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
      command -v "$candidate"; return
    fi
  done
  return 1
}

# setup run|dev|export [VENV]: an environment (.venv) with requirements/<it>.txt, every file checked by its hash.
setup() {
  local wanted="requirements/$1.txt" venv="${2:-.venv}" python package stamp
  stamp="$venv/stile-$1-$(cat "$wanted" pyproject.toml | sha256sum | cut -c1-16)"
  [ -e "$stamp" ] && return
  if ! python=$(find_python); then
    install_debian python3 "Stile runs on Python 3.11 to 3.14" || true
    python=$(find_python) || die "Stile needs Python 3.11 to 3.14: sudo apt install python3 python3-venv, or name another: PYTHON=/path/to/python $0"
  fi
  if [ ! -x "$venv/bin/python" ]; then
    package="${python##*/}-venv"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_debian "$package" "makes the virtual environment" \
      || die "Python's venv module is missing: sudo apt install $package"
    say "making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
  fi
  say "installing $(grep -c '^[a-z].*==' "$wanted") pinned packages ($wanted); a few minutes the first time"
  # Wheels only: nothing is compiled, and no package's own set-up code runs.
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$wanted" \
    || die "the packages could not be installed: is the package index reachable?"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
  touch "$stamp"
}
