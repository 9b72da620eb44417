#!/usr/bin/env bash
# Download the models of models/registry.json: needs bash, curl, python3 and sha256sum, none of the project's packages.
set -euo pipefail

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HF_ENDPOINT=${HF_ENDPOINT:-https://huggingface.co}
export HF_ENDPOINT=${HF_ENDPOINT%/}
COMPANIONS=(encoder_classes.npy species_map.csv)  # they lie beside each checkpoint

usage() {
  cat <<EOF
Usage: scripts/download_models.sh [OPTIONS] [MODEL...]

Downloads the weights of the registry's models, and beside them ${COMPANIONS[0]} and ${COMPANIONS[1]}.
Without MODEL: of all models that are not deprecated. A complete file is not downloaded again; an interrupted download
goes on where it ended. A file whose sha256 is not the registry's is removed, and the exit code is 1.

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
for program in curl python3 sha256sum; do
  command -v "$program" >/dev/null || die 2 "$program is missing"
done
[[ -t 2 ]] || quiet=1
[[ $pause =~ ^[0-9]+([.][0-9]+)?$ ]] || die 2 "--pause: expected seconds, got $pause"

# One line for each file: model, URL to ask, sha256 or -, path.
plan() {
  python3 - "$registry" "$out" "$active" "$weights_only" \
    "${COMPANIONS[*]}" ${models[@]+"${models[@]}"} <<'EOF'
import json, os, re, sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

registry, out, active, weights_only, companions, *wanted = sys.argv[1:]


def fail(text):
    print(f"error: {registry}: {text}", file=sys.stderr)
    raise SystemExit(2)


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


try:
    with open(registry, encoding="utf-8") as stream:
        content = json.load(stream)
    entries = {entry["name"]: entry for entry in content["models"]}
except (OSError, ValueError) as error:
    fail(error)
except (KeyError, TypeError):
    fail("expected an object with models, each with a name")
names = wanted or ([content.get("active")] if active else [n for n, e in entries.items() if not e.get("deprecated")])
root = Path(registry).resolve().parent.parent
for name in names:
    if name not in entries:
        fail(f"expected one of the models {', '.join(entries)}, got {name!r}")
    entry = entries[name]
    url, sha256 = entry.get("weights_url"), entry.get("sha256")
    if not isinstance(url, str) or not re.fullmatch(r"https?://[^\s/?#]+\S*|hf://[^\s/@]+/[^\s/@]+/[^\s@]+(@[^\s@]+)?", url):
        fail(f"{name}: expected http://, https:// or hf://organisation/repository/path as weights_url, got {url!r}")
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", str(sha256)):
        fail(f"{name}: expected 64 hex digits as sha256, got {sha256!r}")
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        fail(f"expected letters, digits, '-', '_' and '.' as a name, got {name!r}")
    file = Path(urlsplit(asked(url)).path).name
    folder = Path(out) if out else root / "models/weights"
    path = root / entry["weights_path"] if entry.get("weights_path") and not out else folder / name / file
    if not path.resolve().is_relative_to(folder.resolve() if out else root):
        fail(f"{name}: expected weights_path within {root}, got {entry['weights_path']!r}")
    print(name, asked(url), (sha256 or "-").lower(), path, sep="\t")
    for companion in () if weights_only else companions.split():
        print(name, asked(beside(url, companion)), "-", path.parent / companion, sep="\t")
EOF
}

digest() { sha256sum -- "$1" | cut -d' ' -f1; }

# request URL PART RESUME: one request; leaves the bytes in PART and the server's ETag in PART.etag.
request() {
  local url=$1 part=$2 resume=$3 etag="" options=(--fail --location --connect-timeout 20)
  options+=(--speed-limit 1 --speed-time 60 --output "$part" --etag-save "$part.new-etag")
  options+=(--write-out '%{http_code} %{errormsg}')
  if [[ $quiet ]]; then options+=(--silent); else options+=(--progress-bar); fi
  if [[ $resume ]]; then
    options+=(--continue-at -)
    [[ -s $part.etag ]] && etag=$(<"$part.etag")
    [[ $etag == '"'* ]] && options+=(--header "If-Range: $etag")
  else
    rm -f "$part"
  fi
  # The token goes through standard input: command lines can be read by others.
  local token=""
  [[ ${HF_TOKEN:-} && $url == "$HF_ENDPOINT"/* ]] && token="header = \"Authorization: Bearer $HF_TOKEN\""
  local status=0 printed
  printed=$(curl "${options[@]}" --config - "$url" <<<"$token") || status=$?
  code=${printed%% *} failure=${printed#* }
  [[ -s $part.new-etag ]] && mv -f "$part.new-etag" "$part.etag"
  rm -f "$part.new-etag"
  return $status
}

# download URL PART SHA256: until all bytes are there.
download() {
  local url=$1 part=$2 sha256=$3 attempt status resume=""
  # Without a digest or an ETag the rest could belong to another file than the beginning.
  [[ -s $part && ($sha256 != - || -s $part.etag) ]] && resume=1
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
          return 1
        fi
        ;;
      *) [[ -s $part && ($sha256 != - || -s $part.etag) ]] && resume=1 resumed=1 ;;
    esac
    ((attempt == 5)) || sleep "$pause"
  done
  return 1
}

# fetch URL SHA256 PATH: whole and verified under PATH, or not there at all.
fetch() {
  local url=$1 sha256=$2 path=$3 part=$3.part found
  if [[ -f $path && ! $force ]]; then
    [[ $sha256 == - ]] && { say "  $path: there already"; return 0; }
    [[ $(digest "$path") == "$sha256" ]] && { say "  $path: there already, sha256 as expected"; return 0; }
    say "  $path: its sha256 is not the registry's, downloading it again"
  fi
  mkdir -p "$(dirname "$path")" || return 1
  [[ $force ]] && rm -f "$part" "$part.etag"
  say "  $url"
  while :; do
    if ! download "$url" "$part" "$sha256"; then
      say "error: $url: ${failure:-no answer}"
      return 1
    fi
    found=$(digest "$part")
    [[ $sha256 == - || $found == "$sha256" ]] && break
    rm -f "$part" "$part.etag"
    if [[ ! $resumed ]]; then
      say "error: $url: expected sha256 $sha256, got $found"
      return 1
    fi
    say "  the earlier part does not fit: starting from the first byte"
  done
  mv -f "$part" "$path" || return 1
  rm -f "$part.etag"
  if [[ $sha256 != - ]]; then
    say "  $path: sha256 as expected"
  else
    say "  $path: sha256 $found (the registry names none: not verified)"
  fi
}

lines=$(plan) || exit $?
if [[ $list ]]; then
  [[ -z $lines ]] || echo "$lines"
  exit 0
fi
failed=() last="" code="" failure="" resumed=""
while IFS=$'\t' read -r -u 3 name url sha256 path; do
  [[ -n $name ]] || continue
  [[ $name == "$last" ]] || say "$name"
  last=$name
  fetch "$url" "$sha256" "$path" || failed+=("$name")
done 3<<<"$lines"
((${#failed[@]} == 0)) || die 1 "not complete: $(printf '%s\n' "${failed[@]}" | sort -u | paste -sd ' ')"
