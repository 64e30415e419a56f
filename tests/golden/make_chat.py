#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_chat.py OUT.json: renders of chat templates by Jinja2, set up by transformers itself, for tests/unit/text/test_chat.c.

The templates were written for this test: each uses the constructs that a family of models is known for, none is theirs.
"""
import json
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

CONVERSATIONS = {
    "user": [("user", "Hello")],
    "system": [("system", "Be brief."), ("user", "What is 2 + 2?")],
    "turns": [("system", "  You help. \n"), ("user", "Hi!\n"), ("assistant", " Hello, \"you\".  "), ("user", "It's 5 o'clock\tnow")],
    "long": [("user", "one"), ("assistant", "<think>\nlet me see\n</think>\n\nanswer one"), ("user", "two"), ("assistant", "answer two"), ("user", "three")],
    "empty": [("system", ""), ("user", "")],
    "none": [],
    "unicode": [("user", "na\u00efve \u4f60\u597d \U0001f600 \u2028 stra\u00dfe \u01c6 \u0130"), ("assistant", "\u00a0 e\u0301 \u00a0"), ("user", "{{ not a tag }} {% nor this %}")],
    "odd": [("user", "a"), ("user", "b"), ("tool", "{\"x\": [1, 2.5, null]}"), ("assistant", "</think>c")],
}

TEMPLATES = {}


def template(name, text):
    TEMPLATES[name] = text


template("brackets", """{% if messages and messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set intro = messages[0]['content'] %}{% else %}{% set rest = messages %}{% set intro = false %}{% endif %}{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Turns must go user, assistant, user: not "' ~ m['role'] ~ '" at ' ~ loop.index) }}{% endif %}{% if loop.index0 == 0 and intro != false %}{% set body = '<<S>>\\n' + intro + '\\n<</S>>\\n\\n' + m['content'] %}{% else %}{% set body = m['content'] %}{% endif %}{% if m['role'] == 'user' %}{{ bos_token + '[Q] ' + body.strip() + ' [/Q]' }}{% elif m['role'] == 'assistant' %}{{ ' ' + body.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""")
template("headers", """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not day is defined %}
    {%- if strftime_now is defined %}
        {%- set day = strftime_now("%Y")|int > 2000 %}
    {%- else %}
        {%- set day = "26 Jul" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The first message may be the system's. #}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|h|>system<|/h|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Tools: " ~ tools | tojson(indent=4) }}
{%- endif %}
{{- "Day: " + day|string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or message.role == 'ipython' or 'tool_calls' in message) %}
        {{- '<|h|>' + message['role'] + '<|/h|>\\n\\n'+ message['content'] | trim + '<|eot|>' }}
    {%- elif message.role == "tool" %}
        {{- "<|h|>ipython<|/h|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|h|>assistant<|/h|>\\n\\n' }}
{%- endif %}
""")
template("inst_filtered", """{%- if messages and messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{#- Turns without those of tools #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the system message, user and assistant take turns") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST]" + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST]" + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- endif %}
{%- endfor %}
""")
template("im_loop_first", """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im|>system\nDefault.<|/im|>\n' }}{% endif %}{{'<|im|>' + message['role'] + '\n' + message['content'] + '<|/im|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im|>assistant\n' }}{% endif %}""")
template("im_thinking", """{%- if tools %}
    {{- '<|im|>system\\n' }}{%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
{%- else %}
    {%- if messages and messages[0].role == 'system' %}
        {{- '<|im|>system\\n' + messages[0].content + '<|/im|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<r>') and message.content.endswith('</r>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im|>' + message.role + '\\n' + content + '<|/im|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {{- tool_call.name }}
            {%- endfor %}
        {%- endif %}
        {{- '<|/im|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im|>user' }}
        {%- endif %}
        {{- '\\n<r>\\n' + content + '\\n</r>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|/im|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""")
template("turns_model", """{{ bos_token }}
{%- if messages and messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '</turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<turn>model
'}}
{%- endif -%}
""")
template("lines_of_tags", """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}
""")
template("end_tokens", """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}""")
template("generation_macro", """{#- settings -#}
{%- set reasoning = mode|default('/think') -%}
{%- set ns = namespace(system=none, keep='') -%}
{%- macro block(role, text='', end='<|/im|>') -%}
    {{- '<|im|>' ~ role ~ '\\n' ~ text ~ end ~ '\\n' -}}
{%- endmacro -%}
{%- if messages and messages[0].role == "system" -%}
    {%- set ns.system = messages[0].content -%}
    {%- if "/no_think" in ns.system -%}{%- set reasoning = '/no_think' -%}{%- endif -%}
    {%- set custom = ns.system.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{{- block('system', text='## Meta\\nMode: ' ~ reasoning ~ '\\n' ~ (custom if custom else 'none given')) -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{- block('user', content) -}}
    {%- elif message.role == "assistant" -%}
        {%- generation -%}
        {%- if reasoning == '/think' -%}
            {{- block(end='', text=content.lstrip('\\n'), role='assistant') -}}
        {%- else -%}
            {{- block('assistant', '<think>\\n\\n</think>\\n' + content.lstrip("\\n")) -}}
        {%- endif -%}
        {%- endgeneration -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- block('assistant', end='') -}}
{%- endif -%}
""")
template("colon_roles", """{% for message in messages %}{% if not loop.first %}{{ '\n' }}{% endif %}{% if message.role == 'system' %}{{ message.content|trim ~ ' ' }}{% elif message.role == 'user' %}USER: {{ message.content|trim }}{% elif message.role == 'assistant' %} ASSISTANT: {{ message.content|trim }}{{ eos_token }}{% else %}{% continue %}{% endif %}{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}""")
template("words", """{% for m in messages %}
{{ m.content | upper }}|{{ m.content | lower }}|{{ m.content | capitalize }}|{{ m.content | title }}|{{ m.content.title() }}|{{ m.role.capitalize() }}
{{ m.content | length }} {{ m.content.split() }} {{ m.content.split(' ', 1) }} {{ m.content.rsplit(' ', 1) }} {{ m.content.rsplit(none, 1) }} {{ m.content.split(None, 1) }} {{ m.content.split('o') | join('0') }}
{{ m.content | replace('o', '') }} {{ m.content.replace('', '.', 3) }} {{ m.content | replace('a', 'b', 1) }} {{ m.content.find('o') }} {{ m.content.rfind('o') }} {{ m.content.count('o') }} {{ m.content.splitlines() }}
{{ m.content | tojson }} {{ [m.content] }} {{ {'k': m.content, 1: (2, 3.5, none, true)} }} {{ {'k': [m.content, 1.0], 'e': []} | tojson(indent=2) }} {{ m | tojson(ensure_ascii=true, sort_keys=true) }}
{{ m.content[0] }} {{ m.content[-1:] }} {{ m.content[::2] }} {{ m.content[::-1] }} {{ m.content[1:-1] }} {{ m.content | first }} {{ m.content | last }} {{ m.content | list }} {{ m.content | reverse }}
{{ m.content.startswith(('H', 'a')) }} {{ m.content.isalpha() }} {{ m.content.isdigit() }} {{ m.content.isspace() }} {{ m.content is lower }} {{ m.content.isupper() }} {{ m.content.removeprefix('He').removesuffix('lo') }} {{ m.content.partition(' ') }} {{ m.content.rpartition(' ') }}
{{ m.content | indent }} {{ m.content | indent(2, true) }} {{ m.content | indent('> ', blank=true) }} {{ m.content.strip('Hi!') }} {{ m.content | trim('o') }} {{ ', '.join(m.content.split()) }}
{% endfor %}""")
template("numbers", """{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }} {{ 1.5 + 1 }} {{ 0.1 + 0.2 }} {{ 1e16 }} {{ 1e15 }} {{ 1.0e-5 }} {{ 0.0001 }} {{ 123456.789 }} {{ 1_000 }} {{ 0x1f }} {{ 0b101 }} {{ 0o17 }} {{ -0.0 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ true + 1 }} {{ 3 * 'ab' }} {{ [1] * 2 + [3] }} {{ (1,) + (2, 3) }} {{ (1,) }} {{ () }} {{ [] }} {{ {} }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }} {{ none == false }} {{ 1 != 2 }} {{ 2 in [1, 2] }} {{ 'a' not in 'bc' }} {{ 'x' in {'x': 1} }} {{ [1] == (1,) }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }}
{{ '42' | int + 1 }} {{ 'x' | int(7) }} {{ '3.9' | int }} {{ 3.9 | int }} {{ ' -5 ' | int }} {{ '2.5' | float }} {{ 'x' | float }} {{ -3 | abs }} {{ none | int }} {{ true | int }} {{ 10 is divisibleby 5 }} {{ 3 is odd }} {{ 4 is even }} {{ 4 is odd or 3 is even }}
{{ range(3) | list }} {{ range(5, 1, -2) | list }} {{ range(2, 2) | list }} {{ [3, 1, 2] | length }} {{ [1, 2, 3][-1] }} {{ [1, 2, 3, 4][1:3] }} {{ [1, 2, 3, 4][::-1] }} {{ [1, 2, 3, 4][-3:-1] }} {{ [1,2,3][10:] }} {{ 'abc'[5:1:-1] }} {{ 'abcdef'[4:1:-2] }}
{{ not 1 }} {{ not '' }} {{ 1 and 'x' }} {{ 0 or 'y' }} {{ 'a' if 0 else 'b' }} {{ 'a' if 0 }} {{ 1 if 0 else 3 if 0 else 4 }} {{ 'a' ~ 1 ~ none ~ 2.0 ~ [1] }} {{ 'a' 'b' "c" }} {{ '\\x41\\u00e9\\n\\t\\'\\q\\101' }}
{{ "a" + "b" | upper }} {{ ("a" + "b") | upper }} {{ -1 | abs }} {{ (2 + 3) ~ 4 * 2 }} {{ 'x' is string and not (1 is string) }} {{ (1, 2)[0] }} {{ {'a': {'b': [10, 20]}}.a.b.1 }} {{ {'a': 1}['a'] }} {{ {'a': 1}['zz'] }}
""")
template("tests_of_kind", """{% for v in [none, true, false, 0, 1, 1.5, '', 'x', [], [1], (), {}, {'a': 1}, nothing, range(2), namespace(a=1)] %}{{ loop.index }}:{{ v is defined }},{{ v is undefined }},{{ v is none }},{{ v is string }},{{ v is mapping }},{{ v is iterable }},{{ v is number }},{{ v is integer }},{{ v is float }},{{ v is boolean }},{{ v is true }},{{ v is false }},{{ 'T' if v else 'F' }},{{ v is not none }}
{% endfor %}{{ raise_exception is defined }} {{ foo is defined }} {{ messages is sequence }} {{ 'x' is sequence }} {{ 1 is sequence }} {{ tools is defined }} {{ tools is none }} {{ documents is none }} {{ nothing | default('d') }} {{ '' | default('d') }} {{ '' | default('d', true) }} {{ none | d('x', boolean=true) }} {{ nothing | length }} {{ nothing | list }} {{ nothing | last is defined }} {{ nothing | reverse | list }} {{ nothing | trim }}.{{ nothing ~ 'x' }} {{ nothing == nothing }} {{ nothing == none }} {{ 'a' in nothing }} {{ none | string }} {{ none.a is defined }} {{ 'a'.b is defined }} {{ 1 is eq 1 }} {{ 2 is gt(1) }} {{ 2 is in [1, 2] }} {{ 1 is ne 1 }}
""")
template("loops", """{% for m in messages if m.role != 'system' %}{{ loop.index }}/{{ loop.length }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.previtem.role if loop.previtem is defined else '-' }} {{ loop.nextitem.role if not loop.last else '-' }} {{ loop.cycle('odd', 'even') }} {{ loop.depth }}
{% else %}nobody
{% endfor %}
{% for a in [1, 2, 3, 4] %}{% if a == 2 %}{% continue %}{% endif %}{% if a == 4 %}{% break %}{% endif %}{{ a }}{% for b in 'xy' %}{{ loop.index }}{{ b }}{% if b == 'x' %}{% continue %}{% endif %}!{% endfor %}{% endfor %}
{% for k, v in {'a': 1, 'b': [2]}.items() %}{{ k }}={{ v }};{% endfor %}{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}{% for k, v in {'z': 1, 'A': 2, 'b': 3} | dictsort %}{{ k }}{{ v }}{% endfor %}{% for k, v in {'a': 3, 'b': 1} | dictsort(by='value', reverse=true) %}{{ k }}{% endfor %}{% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %}{% for x in {'p': 1}.keys() %}{{ x }}{% endfor %}{% for x in {'p': 5}.values() %}{{ x }}{% endfor %}
{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for x in nothing %}never{% else %}none{% endfor %}{% for i in range(3) %}{{ i }}{{ ',' if not loop.last }}{% endfor %}
{{ messages | map(attribute='role') | join(', ') }} {{ messages | map(attribute='zz', default='?') | list }} {{ ['a', 'b'] | map('upper') | join }} {{ [1, 2, 3, 4] | select('odd') | list }} {{ [1, 2, 3] | reject('equalto', 2) | list }} {{ [0, 1, ''] | select | list }} {{ messages | selectattr('role', '==', 'user') | map(attribute='content') | list }} {{ messages | rejectattr('role', 'in', ['user', 'tool']) | list | length }} {{ messages | selectattr('content') | list | length }} {{ [{'a': {'b': 1}}, {'a': {'b': 2}}] | map(attribute='a.b') | list }} {{ messages | join('+', attribute='role') }} {{ [[1, 2], [3]] | map('first') | list }} {{ ['x', 'y'] | map('replace', 'x', 'z') | list }} {{ none | map('upper') | list }} {{ tools | selectattr('a') | list }} {{ false | reject | list }}
""")
template("scopes", """{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 5 %}{% endif %}{{ x }}
{% set ns = namespace(n=0, seen=[]) %}{% for i in [1, 2, 3] %}{% set ns.n = ns.n + i %}{% set ns.seen = ns.seen + [i] %}{% endfor %}{{ ns.n }} {{ ns.seen }} {{ ns.zz is defined }}
{% set a, b = 1, 'two' %}{{ a }}{{ b }}{% set t = 1, 2 %}{{ t }}{% set (c, d) = t %}{{ c }}{{ d }}
{% macro f(a, b=2, c=a) %}[{{ a }}|{{ b }}|{{ c }}|{{ x }}]{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(1, c=9) }}{{ f(b=1, a=0) }}{{ f() }}{% set x = 7 %}{{ f('q') }}
{% macro fact(n) %}{% if n > 1 %}{{ n * fact(n - 1) | int }}{% else %}1{% endif %}{% endmacro %}{{ fact(6) }} {{ f(1) | length }} {{ f(1)[1:2] }}
{% with y = 3, z = x %}{{ y }}{{ z }}{% set y = 4 %}{{ y }}{% endwith %}{{ y is defined }}
{% set block %}  Hello {{ x }}
  there {% endset %}[{{ block }}]{% set trimmed | trim | upper %}  abc {% endset %}[{{ trimmed }}]{% filter upper %}ab{{ 'c' }}{% endfilter %}
{% for q in [1, 2] %}{% set r %}{{ q }}{{ loop.last }}{% endset %}{{ r }}{% endfor %}{{ r is defined }}
{% set d = dict(a=1, b='x') %}{{ d.a }}{{ d['b'] }}{{ d.get('c') }}{{ d.get('c', 4) }}{{ d | tojson }} {{ d.items() | list }} {{ [5, 6].index(6) }} {{ [1, 1].count(1) }}
{% generation %}{% set g = 1 %}g{{ g }}{% endgeneration %}{{ g is defined }}
""")
template("white_space", """  {% if true %}
  a
    {%- if true %} b {% endif -%}
  c
{% endif %}
  {%+ if true %}d{% endif +%}
e   {# comment
   over lines #}
  {#- stripped -#}  f
{% raw %}
 {{ raw }} {% tags %} {# stay #}
{%- endraw %}
{{ 'g' -}}
   h
	{{- 'i' }}
{% raw -%}   j {%+ endraw %}
{{ '{%' }} {{ "%}" }} {{ {'a': {'b': 1}}['a']['b'] }} }} %} #}
   {% set x = 1 %}   
 k{% if x %}

 l
{% endif %}


m
""")
template("crlf", "{% if true %}\r\na\r\n{% endif %}\rb\r\n\r\n")
template("tail_newline", "a\n\n")

# Each of these fails in Jinja too.
FAILING = {
    "undefined_attribute": "{{ nothing.a }}",
    "undefined_item": "{{ nothing['a'] }}",
    "undefined_call": "{{ nothing() }}",
    "undefined_math": "{{ nothing + 1 }}",
    "none_plus_text": "{{ 'a' + none }}",
    "text_plus_int": "{{ 'a' + 1 }}",
    "order": "{{ 1 < 'a' }}",
    "none_items": "{% for x in none %}{% endfor %}",
    "int_in_text": "{{ 1 in 'abc' }}",
    "undefined_flag": "{{ {} | dictsort(reverse=nothing) | list }}",
    "undefined_keep": "{{ 'a'.splitlines(nothing) }}",
    "zero": "{{ 1 / 0 }}",
    "zero_mod": "{{ 1 % 0 }}",
    "unpack": "{% for a, b in [1] %}{% endfor %}",
    "raise": "{{ raise_exception('No such role: ' + messages[0].role) }}",
    "split_empty": "{{ 'a'.split('') }}",
    "no_length": "{{ 1 | length }}",
    "tojson_undefined": "{{ nothing | tojson }}",
    "slice_none": "{% set v = none %}{{ v[1:] }}",
    "set_on_dict": "{% set d = {} %}{% set d.x = 1 %}",
    "macro_arguments": "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
    "macro_keyword": "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}",
    "list_key": "{{ {[1]: 2} }}",
    "big_range": "{{ range(1000000) | list }}",
    "append": "{{ [].append(1) }}",
    "unclosed_if": "{% if true %}a",
    "unclosed_tag": "{{ 'a'",
    "unclosed_text": "{{ 'a }}",
    "unclosed_comment": "a {# b",
    "unclosed_raw": "{% raw %} a",
    "brackets": "{{ (1] }}",
    "stray_end": "{% endif %}",
    "wrong_end": "{% for a in b %}{% endif %}",
    "else_twice": "{% if a %}{% else %}{% else %}{% endif %}",
    "empty_print": "{{ }}",
    "assign_constant": "{% set true = 1 %}",
    "assign_expression": "{% set a + 1 = 1 %}",
    "two_values": "{{ 1 2 }}",
    "unknown_tag": "{% frobnicate %}",
    "unknown_filter": "{{ 1 | frobnicate }}",
    "unknown_test": "{{ 1 is frobnicate }}",
    "break_outside": "{% break %}",
    "character": "{{ a ? b }}",
    "default_order": "{% macro f(a=1, b) %}{% endmacro %}",
}


def messages_of(name):
    return [{"role": role, "content": content} for role, content in CONVERSATIONS[name]]


def render(text, conversation, prompt):
    return _compile_jinja_template(text).render(messages=messages_of(conversation), tools=None, documents=None, add_generation_prompt=prompt, **TOKENS)


def main():
    out = {"tokens": TOKENS, "conversations": {k: messages_of(k) for k in CONVERSATIONS}, "templates": [], "failing": []}
    for name, text in TEMPLATES.items():
        renders = []
        for conversation in CONVERSATIONS:
            for prompt in (False, True):
                case = {"messages": conversation, "prompt": prompt}
                try:
                    case["text"] = render(text, conversation, prompt)
                except Exception as e:  # noqa: BLE001: whatever Jinja raises
                    case["error"] = str(e)
                if prompt and renders and {k: v for k, v in renders[-1].items() if k != "prompt"} == {k: v for k, v in case.items() if k != "prompt"}:
                    del renders[-1]["prompt"]  # both ways the same
                    continue
                renders.append(case)
        out["templates"].append({"name": name, "template": text, "renders": renders})
    for name, text in FAILING.items():
        try:
            got = render(text, "turns", False)
        except Exception as e:  # noqa: BLE001
            out["failing"].append({"name": name, "template": text, "error": str(e)})
            continue
        sys.exit(f"{name} does not fail: {got!r}")
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=True, indent=0)
        f.write("\n")
    errors = [(t["name"], r["error"]) for t in out["templates"] for r in t["renders"] if "error" in r]
    print(len(out["templates"]), "templates,", sum(len(t["renders"]) for t in out["templates"]), "renders,", len(errors), "of them errors")
    for e in sorted(set(errors)):
        print("  ", e)


if __name__ == "__main__":
    main()
