# SPDX-License-Identifier: Apache-2.0
# The documents are true: generated sections of README.md, the first command by line 20, links, pictures, commands that exist.
. "$SRC/tests/cli/lib.sh" || exit 1
bad=0 scratch=$PWD
complain() { echo "FAIL: $*" >&2; bad=1; }
cd "$SRC" || exit 1
documents=$(find . \( -path './build*' -o -name .git -o -name .venv -o -path './.*/*' \) -prune -o -name '*.md' -type f -print | sed 's|^\./||' | sort)

# 1. Tables that come from the registries and from measuring.
sh tools/update_readme --check "$PARE" || complain "generated sections of README.md"

# 2. Short, and the first command is near the top.
[ "$(wc -l <README.md)" -lt 250 ] || complain "README.md has $(wc -l <README.md) lines"
first=$(awk '/^```/ { getline; print FNR; exit }' README.md)
[ "${first:-999}" -le 20 ] || complain "README.md: the first command is in line ${first:-none}, not by line 20"

# 3. Every relative link leads to a file; in a Markdown file, a #fragment to a heading. Code is not looked at.
links() {
    awk '/^ *```/ { code = !code; next }
        code { next }
        { gsub(/`[^`]*`/, "")
          while (match($0, /\]\([^()[:space:]]+\)|src="[^"]+"|href="[^"]+"/)) {
              link = substr($0, RSTART, RLENGTH); $0 = substr($0, RSTART + RLENGTH)
              sub(/^(\]\(|src="|href=")/, "", link); sub(/[)"]$/, "", link); print link } }' "$1"
}
# Anchors as the usual Markdown viewers make them of headings.
anchors() {
    awk '/^ *```/ { code = !code; next }
        !code && /^#+ / { sub(/^#+ +/, ""); text = tolower($0); gsub(/[^a-z0-9 _-]/, "", text); gsub(/ /, "-", text); print text }' "$1"
}
for document in $documents; do
    for link in $(links "$document"); do
        case $link in http://* | https://* | mailto:*) continue ;; esac
        path=${link%%#*}
        [ -z "$path" ] && target=$document || target=$(dirname "$document")/$path
        [ -e "$target" ] || { complain "$document: link to $link leads nowhere"; continue; }
        case $link in
            *.md#* | \#*) anchors "$target" | grep -qxF -- "${link#*#}" || complain "$document: no heading for $link" ;;
        esac
    done
done

# 4. Pictures are small.
for picture in docs/img/*; do
    [ ! -f "$picture" ] || [ "$(wc -c <"$picture")" -le 153600 ] || complain "$picture has more than 150 KiB"
done

# 5. Every `pare COMMAND` in a code block of the handbooks exists, with its flags.
for document in README.md docs/manual.md docs/recipes.md; do
    awk '/^ *```/ { code = !code; next } code' "$document" | sed -n 's/^\(\$ \)\{0,1\}pare \([a-z][a-z-]*\) *\(.*\)$/\2 \3/p' >"$scratch/commands"
    [ -s "$scratch/commands" ] || complain "$document: no command found"
    while read -r command rest; do
        "$PARE" "$command" --help >"$scratch/help" 2>/dev/null || { complain "$document: there is no command 'pare $command'"; continue; }
        for flag in $(echo "$rest" | sed 's/#.*//; s/|.*//' | tr ' ' '\n' | grep -E '^--[a-z]' | sed 's/=.*//'); do
            grep -q -- "$flag\( \|$\)" "$scratch/help" || complain "$document: pare $command has no flag $flag"
        done
    done <"$scratch/commands"
done
exit $bad
