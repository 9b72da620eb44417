#!/usr/bin/env bash
# Download the models of models/registry.json: needs bash, curl, flock, python3 and sha256sum, and none of the project's
# packages.
set -euo pipefail

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HF_ENDPOINT=${HF_ENDPOINT:-https://huggingface.co}
export HF_ENDPOINT=${HF_ENDPOINT%/}
COMPANIONS=(encoder_classes.npy species_map.csv)  # they lie beside each checkpoint
RECORD=.companions-of  # in a folder with companions: the key of the weights that they are of

usage() {
  cat <<EOF
Usage: scripts/download_models.sh [OPTIONS] [MODEL...]

Downloads the weights of the registry's models, and beside them ${COMPANIONS[0]} and ${COMPANIONS[1]}.
Without MODEL: of all models that are not deprecated. A complete file is not downloaded again; an interrupted download
goes on where it ended. A file whose sha256 is not the registry's is removed, and the exit code is 1. So is a git-lfs
pointer or a web page in place of a file without a sha256. Two models need two folders, unless their files share one.
If other weights have come into a folder, the files beside them without a sha256 are removed and downloaded again; the
file $RECORD says of which weights they are. Runs that download into the same folder take turns.

Options:
  --registry FILE  the registry; paths in it begin at its folder's parent  [default: models/registry.json]
  --out DIR        for models without a weights_path, each in a folder of its name  [default: models/weights]
  --active         only the active model
  --weights-only   without the files beside the checkpoint
  --force          download complete files again
  --list           only list the files that would be downloaded
  --pause SECONDS  between two of the five tries that a file gets  [default: 2]
  -q, --quiet      no progress
  -h, --help       this text

A model whose sha256 is null cannot be verified: the digest of its file is printed. hf://… is read from \$HF_ENDPOINT
(https://huggingface.co by default), with the token \$HF_TOKEN if it is set.

Exit codes: 0 all files are complete; 1 a file is missing or has another sha256; 2 wrong usage or bad input.
EOF
}

die() { echo "error: $2" >&2; exit "$1"; }
say() { echo "$*" >&2; }

registry=$REPOSITORY/models/registry.json out="" active="" weights_only="" force="" list="" quiet="" pause=2
models=()
while (($#)); do
  case $1 in
    --registry | --out | --pause)
      (($# > 1)) || die 2 "$1: expected a value"
      declare "${1#--}=$2"
      shift
      ;;
    --active) active=1 ;;
    --weights-only) weights_only=1 ;;
    --force) force=1 ;;
    --list) list=1 ;;
    -q | --quiet) quiet=1 ;;
    -h | --help) usage; exit 0 ;;
    -*) die 2 "$1: no such option (see --help)" ;;
    *) models+=("$1") ;;
  esac
  shift
done
for program in curl flock python3 sha256sum; do
  command -v "$program" >/dev/null || die 2 "$program is missing"
done
[[ -t 2 ]] || quiet=1
[[ $pause =~ ^[0-9]+([.][0-9]+)?$ ]] || die 2 "--pause: expected seconds, got $pause"

# One line for each file: model, URL to ask, sha256 or -, path. For weights also a key of all weights in their folder, and
# the names of the files beside them without a sha256; both are - if these files are not wanted.
plan() {
  python3 - "$registry" "$out" "$active" "$weights_only" \
    "${COMPANIONS[*]}" ${models[@]+"${models[@]}"} <<'EOF'
import hashlib, json, os, re, sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

registry, out, active, weights_only, companions, *wanted = sys.argv[1:]
WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
URL = r"https?://[^\s/?#@]+([/?#]\S*)?|hf://[^\s/@]+/[^\s/@]+/[^\s@]+(@[^\s@]+)?"


def fail(text):
    print(f"error: {registry}: {text}", file=sys.stderr)
    raise SystemExit(2)


def is_url(value):
    """Return true if this script can read the URL."""
    if not isinstance(value, str) or not value.isprintable() or not re.fullmatch(URL, value):
        return False
    try:
        urlsplit(asked(value))
    except ValueError:  # such as a bracket that is not closed
        return False
    return True


def asked(url):
    if not url.startswith("hf://"):
        return url
    organisation, repository, path = url.removeprefix("hf://").split("/", 2)
    path, _, revision = path.partition("@")
    return f"{os.environ['HF_ENDPOINT']}/{organisation}/{repository}/resolve/{revision or 'main'}/{path}"


def beside(url, name):
    if url.startswith("hf://"):
        path, _, revision = url.partition("@")
        return f"{path.rpartition('/')[0]}/{name}" + (f"@{revision}" if revision else "")
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}"))


def redacted(url):
    return re.sub(r"\?.*", "?…", re.sub(r"(?<=://)[^/?#]*@", "…@", str(url)))


def place(entry):
    """Return where the entry's weights go; ends the program if that is no place for them."""
    name, given = entry["name"], None if out else entry.get("weights_path")
    base = Path(out) if out else root
    file = Path(urlsplit(asked(entry["weights_url"])).path).name
    if given is None:
        path = (base if out else root / "models/weights") / name / file
    elif isinstance(given, str) and given.endswith(WEIGHTS):
        path = root / given
    else:
        fail(f"{name}: expected weights_path to end in one of {', '.join(WEIGHTS)}, got {given!r}")
    if not str(path).isprintable():
        fail(f"{name}: expected a file that is not hidden, got {str(path)!r}")
    try:
        below = Path(os.path.relpath(path.resolve(), base.resolve()))
        path.with_name(f"{path.name}.part.etag").exists()
    except (OSError, RuntimeError) as error:  # links in a circle, a name that is too long
        fail(f"{name}: weights_path: cannot be used: {error}")
    if below.parts[:1] == ("..",):
        fail(f"{name}: expected weights_path within {base}, got {given!r}")
    if file in ("", "..") or any(part.startswith(".") for part in below.parts):
        fail(f"{name}: expected a file that is not hidden, got {str(below)!r}")
    if path.resolve() == Path(registry).resolve():
        fail(f"{name}: expected another file than the registry itself, got {str(below)!r}")
    return path


def check(entry):
    name, url, sha256, files = entry["name"], entry.get("weights_url"), entry.get("sha256"), entry.get("files") or {}
    if not is_url(url):
        expected = "http://, https:// or hf://organisation/repository/path, which this script reads, without user:password@"
        fail(f"{name}: expected {expected}, got {redacted(url)!r}")
    if not isinstance(files, dict):
        fail(f"{name}: expected an object as files, got {files!r}")
    for digest in (sha256, *files.values()):
        if digest is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", str(digest)):
            fail(f"{name}: expected 64 hex digits as sha256, got {digest!r}")


def check_name(name):
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        fail(f"expected letters, digits, '-', '_' and '.' as a name, got {name!r}")
    return name


try:
    with open(registry, encoding="utf-8") as stream:
        content = json.load(stream)
    entries = {check_name(entry["name"]): entry for entry in content["models"]}
except (OSError, ValueError, RecursionError) as error:
    fail(error)
except (KeyError, TypeError):
    fail("expected an object with models, each with a name")
names = wanted or ([content.get("active")] if active else [n for n, e in entries.items() if not e.get("deprecated")])
root = Path(registry).resolve().parent.parent
for name in names:
    if not isinstance(name, str) or name not in entries:
        fail(f"expected one of the models {', '.join(entries)}, got {name!r}")
for name in names:
    check(entries[name])
places = {name: place(entries[name]) for name in names}
folders = {path.resolve().parent: [] for path in places.values()}
for other, entry in entries.items() if names else ():
    # Models of one folder share the classes; those of a model that is not wanted may be there since an earlier run.
    if is_url(entry.get("weights_url")):
        path = place(entry)
        if path.resolve().parent in folders:
            weights = str(entry.get("sha256") or entry["weights_url"]).lower()
            folders[path.resolve().parent].append([path.name, weights])
        for name in names:
            if other == name or path.resolve().parent != places[name].resolve().parent:
                continue
            if path.resolve() == places[name].resolve():
                fail(f"{name}, {other}: expected a file for each, got {path} for both")
            if not weights_only and beside(entry["weights_url"], "") != beside(entries[name]["weights_url"], ""):
                fail(f"{name}, {other}: expected a folder for each, as their classes differ, got {path.parent} for both")
for name, path in places.items():
    written = [path.name, *([] if weights_only else companions.split())]
    for file in (path.with_name(f"{one}{end}") for one in written for end in ("", ".part")):
        if file.exists() and not file.is_file():
            kind = "a folder" if file.is_dir() else "another kind of file"
            fail(f"{name}: expected a file or nothing at {file}, got {kind}")
    url, sha256 = entries[name]["weights_url"], entries[name].get("sha256")
    digests = {} if weights_only else {one: (entries[name].get("files") or {}).get(one) for one in companions.split()}
    key = hashlib.sha256(json.dumps(sorted(folders[path.resolve().parent])).encode()).hexdigest() if digests else "-"
    unverified = " ".join(one for one, digest in digests.items() if not digest) or "-"
    print(name, asked(url), str(sha256 or "-").lower(), path, key, unverified, sep="\t")
    for companion, digest in digests.items():
        print(name, asked(beside(url, companion)), str(digest or "-").lower(), path.parent / companion, sep="\t")
EOF
}

# shown URL: the URL without a password and without its query, which may be a signature.
shown() { sed -E 's|(://)[^/?#]*@|\1…@|; s|\?.*|?…|' <<<"$1"; }

# quoted TEXT: TEXT for a line of curl's configuration.
quoted() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

# kind FILE: what FILE is instead of weights or classes; nothing if it may be such a file.
kind() {
  local head
  head=$(head -c 64 -- "$1" | tr -d '\0' | tr '[:upper:]' '[:lower:]')
  case $head in
    "") [[ -s $1 ]] || echo "an empty file" ;;
    "version https://git-lfs"*) echo "a git-lfs pointer" ;;
    *"<!doctype html"* | "<html"*) echo "an HTML page" ;;
    "<?xml"*) echo "an XML document" ;;
  esac
}

digest() { sha256sum -- "$1" | cut -d' ' -f1; }

# request URL PART RESUME: one request; leaves the bytes in PART and the server's ETag of them in PART.etag. The ETag is
# written before the first byte, and not at all if the request goes on with a part, so that a kill leaves no other one.
request() {
  local url=$1 part=$2 resume=$3 options=(--fail --location --globoff --connect-timeout 20)
  options+=(--speed-limit 1 --speed-time 60 --output "$part" --write-out '%{http_code} %{errormsg}')
  if [[ $quiet ]]; then options+=(--silent); else options+=(--progress-bar); fi
  if [[ $resume ]]; then
    options+=(--continue-at -)
    ! has_version "$part" || options+=(--header "If-Range: $(<"$part.etag")")
  else
    rm -f "$part" "$part.etag"
    options+=(--etag-save "$part.etag")
  fi
  # The URL and the token go through standard input: command lines can be read by others.
  local config
  config="url = $(quoted "$url")"
  [[ ${HF_TOKEN:-} && $url == "$HF_ENDPOINT"/* ]] &&
    config+=$'\n'"header = $(quoted "Authorization: Bearer $HF_TOKEN")"
  local status=0 printed
  printed=$(curl "${options[@]}" --config - <<<"$config") || status=$?
  code=${printed%% *} failure=${printed#* }
  [[ -s $part ]] || rm -f "$part.etag"
  return $status
}

# has_version PART: true if it is known of which version of the file PART is. A weak ETag is not enough: two versions may
# have the same one, and no server compares it with If-Range.
has_version() { [[ -s $1.etag && $(<"$1.etag") == '"'* ]]; }

# can_resume PART SHA256: without a digest or a version the rest could belong to another file than the beginning.
can_resume() { [[ -s $1 ]] && { [[ $2 != - ]] || has_version "$1"; }; }

# download URL PART SHA256: until all bytes are there.
download() {
  local url=$1 part=$2 sha256=$3 attempt status resume=""
  ! can_resume "$part" "$sha256" || resume=1
  resumed=$resume
  for attempt in 1 2 3 4 5; do
    status=0
    request "$url" "$part" "$resume" || status=$?
    case $status in
      0) return 0 ;;
      33) resume="" resumed="" ;;  # the server starts from the first byte, or has another file by now
      22)
        if [[ $code == 416 ]]; then
          resume="" resumed=""
        elif [[ $code != 5?? && $code != 429 ]]; then
          failure="expected 200, got $code"
          local hint="set HF_TOKEN"
          [[ ${HF_TOKEN:-} ]] && hint="and HF_TOKEN gives no access to it"
          [[ $code == 40[13] && $url == "$HF_ENDPOINT"/* ]] &&
            failure+=": the repository is gated or private, $hint"
          return 1
        fi
        ;;
      *) if can_resume "$part" "$sha256"; then resume=1 resumed=1; else resume="" resumed=""; fi ;;
    esac
    ((attempt == 5)) || sleep "$pause"
  done
  return 1
}

# forget_companions FOLDER: before other weights come into FOLDER, record that its companions are not of these. A run
# that is killed after that, or is about weights only, leaves the rest to the next one.
forget_companions() {
  local name
  for name in "${COMPANIONS[@]}"; do
    [[ ! -f $1/$name ]] || echo "earlier weights" >"$1/$RECORD" || return 1
  done
}

# check_companions FOLDER KEY NAMES: remove the companions NAMES of FOLDER if they are of other weights than those of KEY.
check_companions() {
  local folder=$1 key=$2 name
  if [[ -f $folder/$RECORD && $(<"$folder/$RECORD") != "$key" ]]; then
    for name in ${3/#-/}; do
      [[ ! -f $folder/$name ]] || say "  $folder/$name: of other weights, downloading it again"
      rm -f "$folder/$name" || return 1
    done
  fi
  echo "$key" >"$folder/$RECORD"
}

# lock_folder FOLDER: keep other runs out of FOLDER until another one is locked, or this run ends. The lock is on the
# folder itself, as a file of its own would stay behind.
lock_folder() {
  [[ $1 != "$locked" ]] || return 0
  locked=""
  mkdir -p "$1" && exec 9<"$1" || return 1  # which unlocks the last one
  local status=0
  flock --nonblock --conflict-exit-code 75 9 2>/dev/null || status=$?
  case $status in
    0) ;;
    75) say "  $1: waiting for another run"; flock 9 || return 1 ;;
    *) say "  $1: cannot be locked, as its file system has no locks: start no other run beside this one" ;;
  esac
  locked=$1
}

# fetch URL SHA256 PATH: whole and verified under PATH, or not there at all.
fetch() {
  local url=$1 sha256=$2 path=$3 part=$3.part found wrong
  if [[ -f $path && ! $force ]]; then
    wrong=$(kind "$path")
    [[ $sha256 == - && -z $wrong ]] && { say "  $path: there already"; return 0; }
    [[ $(digest "$path") == "$sha256" ]] && { say "  $path: there already, sha256 as expected"; return 0; }
    [[ $sha256 == - ]] || wrong="its sha256 is not the registry's"
    say "  $path: $wrong, downloading it again"
  fi
  [[ $force ]] && rm -f "$part" "$part.etag"
  say "  $(shown "$url")"
  while :; do
    if ! download "$url" "$part" "$sha256"; then
      say "error: $(shown "$url"): ${failure:-no answer}"
      return 1
    fi
    found=$(digest "$part")
    [[ $sha256 == - || $found == "$sha256" ]] && break
    rm -f "$part" "$part.etag"
    if [[ ! $resumed ]]; then
      say "error: $(shown "$url"): expected sha256 $sha256, got $found"
      return 1
    fi
    say "  the earlier part does not fit: starting from the first byte"
  done
  if [[ $sha256 == - ]] && wrong=$(kind "$part") && [[ $wrong ]]; then
    rm -f "$part" "$part.etag"
    say "error: $(shown "$url"): expected the file, got $wrong"
    return 1
  fi
  [[ ${path##*/} == @(encoder_classes.npy|species_map.csv) ]] || forget_companions "${path%/*}" || return 1
  mv -f -T "$part" "$path" || return 1
  rm -f "$part.etag"
  if [[ $sha256 != - ]]; then
    say "  $path: sha256 as expected"
  else
    say "  $path: sha256 $found (the registry names none: not verified)"
  fi
}

lines=$(plan) || exit $?
if [[ $list ]]; then
  while IFS=$'\t' read -r name url sha256 path _; do
    [[ -z $name ]] || printf '%s\t%s\t%s\t%s\n' "$name" "$(shown "$url")" "$sha256" "$path"
  done <<<"$lines"
  exit 0
fi
failed=() last="" code="" failure="" resumed="" without_weights="" locked=""
while IFS=$'\t' read -r -u 3 name url sha256 path key unverified; do
  [[ -n $name ]] || continue
  [[ $name == "$last" ]] || { say "$name"; without_weights=""; }
  last=$name
  # The files of these weights beside those of earlier ones would look complete to the next run.
  if [[ -z $key && $sha256 == - && $without_weights ]]; then
    say "  $path: not downloaded, because the weights were not"
  elif ! lock_folder "${path%/*}" || ! fetch "$url" "$sha256" "$path"; then
    failed+=("$name")
    [[ -z $key ]] || without_weights=1
  elif [[ ${key:--} != - ]]; then
    check_companions "${path%/*}" "$key" "$unverified" || die 1 "${path%/*}: cannot be written to"
  fi
done 3<<<"$lines"
((${#failed[@]} == 0)) || die 1 "not complete: $(printf '%s\n' "${failed[@]}" | sort -u | paste -sd ' ')"
