# SPDX-License-Identifier: Apache-2.0
# pare run --chat: the checkpoint's own template makes the prompt; what it refuses or pare does not run is one error.
. "$SRC/tests/cli/lib.sh" || exit 1
mkdir model && cp "$DEMO"/* model/
prompt_tokens() { expect 0 "$PARE" run "$@" -n 1 --json; json stdout prompt_tokens; }

# The prompt is what the template writes: as many tokens as the text itself, without what encode() would put around it.
printf '%s' '{{ messages[-1].content }}' >model/chat_template.jinja
plain=$(prompt_tokens model -p "In the beginning" --chat)
printf '%s' '{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %} And God said{% endif %}' >model/chat_template.jinja
long=$(prompt_tokens model -p "In the beginning" --chat)
[ "$long" -gt "$plain" ] || fail "the template adds nothing: $long, $plain"
system=$(prompt_tokens model -p "In the beginning" --chat --system "Speak as a king")
[ "$system" -gt "$long" ] || fail "--system adds nothing: $system, $long"

# The same text by hand and by the template gives the same continuation.
printf '%s' 'In the {{ messages[0].content | trim }}' >model/chat_template.jinja
expect 0 "$PARE" run model -p " beginning " --chat -n 12 --quiet
cp stdout by_template
printf '%s' '{{ "In the beginning" }}' >model/chat_template.jinja
expect 0 "$PARE" run model -p "x" --chat -n 12 --quiet
cmp -s stdout by_template || fail "the same prompt gave another text"

printf '%s' '{{ raise_exception("only kings: " ~ messages[0].role) }}' >model/chat_template.jinja
expect_error 1 "only kings: user" "$PARE" run model -p x --chat
printf '\n%s' '{% include "other" %}' >model/chat_template.jinja
expect_error 1 "line 2: tag 'include'" "$PARE" run model -p x --chat
printf '%s' '{% for i in range(9999) %}{% for k in range(9999) %}{% endfor %}{% endfor %}' >model/chat_template.jinja
expect_error 1 "steps" "$PARE" run model -p x --chat
rm model/chat_template.jinja
expect_error 1 "no chat template" "$PARE" run model -p x --chat
exit 0
