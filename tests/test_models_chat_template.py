"""Chat templates: rendered as transformers renders them, and bounded whatever they try."""

from __future__ import annotations

import pytest

from models.decoder.chat_template import ChatTemplate
from tests.fixtures_chat import CHATML, chat_tokenizer
from workspace.errors import DataError

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{%
endif %}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate') }}{% endif %}
<start>{{ 'model' if m['role'] == 'assistant' else m['role'] }}
{{ m['content'] | trim }}<end>
{% endfor %}{% if add_generation_prompt %}<start>model
{% endif %}"""
RICH = """{%- set ns = namespace(seen=false, parts=[]) %}
{%- macro turn(m, n) -%}[{{ n }}:{{ m.role|upper }}] {{ m.content }}
{% endmacro %}
{%- for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}{{ turn(m, loop.index) }}{% endgeneration %}
{%- else %}{{ turn(m, loop.index0) ~ ('!' if loop.last else ',') }}{% set ns.seen = true %}{% endif %}
{%- if loop.index > 50 %}{% break %}{% endif %}{% endfor %}
{{- messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list|tojson }}
 {{ '%s-%03d' % (messages[-1].role, 7) }}
{{- 2 * 3 + messages|length }}{{ '=' * 10 }}{{ (messages[0].content.split(' ') + ['x'])|join('/') }}{{ eos_token }}"""
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What holds a shell together?"},
    {"role": "assistant", "content": " Layers & glue <b>.\n"},
    {"role": "user", "content": "And \u00fc\u4e2d bone?"},
]
TOKENS = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
_NESTED = "{% set a = ['x'] %}" + "{% set a = [a, a, a, a, a, a, a, a] %}" * 12
_DEEP = "{% set n = namespace(a=range(90000)|list) %}{% for i in range(900) %}{% set n.a = [n.a] %}{% endfor %}"
HOSTILE = {
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a word that doubles": "{% set n=namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "a sum that doubles": "{% set n=namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "a number that squares": "{% set n=namespace(x=3) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "repetition": "{{ 'a' * 10000000000 }}",
    "a list repeated": "{{ [1] * 10000000000 }}",
    "a power": "{{ 99 ** (99 ** (9 * 9)) }}",
    "a width": "{{ '%09999999999d' % 1 }}",
    "a width in a format": "{{ '{:>9999999999}'.format(1) }}",
    "centring": "{{ 'a'|center(10000000000) }}",
    "padding": "{{ 'a'.ljust(10000000000) }}",
    "replacement": "{% set a = 'a' * 1000000 %}{{ a.replace('a', a) }}",
    "joining": "{% set a = 'a' * 1000000 %}{{ a|join(a) }}",
    "a list of itself, in the output": _NESTED + "{{ a }}",
    "a list of itself, in a word": _NESTED + "{{ a ~ '' }}",
    "a list of itself, as JSON": _NESTED + "{{ a|tojson }}",
    "a list of itself, compared": _NESTED + "{{ a == a + [] }}",
    "a list of itself, tested": _NESTED + "{{ a is in [a + []] }}",
    "a list of itself, looked for": _NESTED + "{{ [a].count(a + []) }}",
    "lists in a namespace": "{% set n = namespace(a=['x']) %}" + "{% set n.a = [n.a] * 8 %}" * 12 + "{{ n }}",
    "a mapping of itself": "{% set a = 'x' %}" + "{% set a = dict(a=a, b=a, c=a, d=a, e=a, f=a) %}" * 12 + "{{ a }}",
    "a mapping's values": "{% set a = 'x' %}" + "{% set a = {1: a, 2: a, 3: a, 4: a}.values() %}" * 14 + "{{ a }}",
    "JSON with an indent": _DEEP + "{{ n.a|tojson(indent=1000) }}",
    "joining long words": "{{ (['a' * 1000000] * 1000)|join }}",
    "joining by a method": "{{ ''.join(['a' * 1000000] * 1000) }}",
    "joining what is yet to come": "{{ range(99999)|map('string')|join('a' * 1000000) }}",
    "a format that repeats": "{{ ('{0}' * 100000).format('a' * 100000) }}",
    "a percent that repeats": "{{ ('%(a)s' * 100000) % {'a': 'a' * 100000} }}",
    "a width that is given": "{{ '{0:{1}}'.format('x', '999999999') }}",
    "a width in a mapping": "{{ '{a:999999999}'.format_map({'a': 1}) }}",
    "a translation": "{{ ('a' * 1000000).translate({97: 'b' * 1000}) }}",
    "tabs": "{{ ('\t' * 1000000).expandtabs(1000) }}",
    "indenting": "{{ ('\na' * 1000000)|indent('a' * 1000) }}",
    "wrapping": "{{ ('a' * 4000000)|wordwrap(1) }}",
    "marks taken out": "{{ ('<!---->' * 500000)|striptags }}",
    "lists added up": "{{ ([[1] * 1000] * 4000)|sum(start=[]) }}",
    "sorting what begins alike": "{{ (['a' * 100000] * 100000)|sort|length }}",
    "slices": "{% set x = 'a' * 3000000 %}{% for i in range(99999) %}{% set y = x[1:] %}{% endfor %}",
    "long words compared": "{% set x = 'a' * 3000000 %}{% for i in range(99999) %}{% set y = x ~ 'b' %}{% endfor %}",
    "lists of lists": "{{ ([range(99999)] * 1000)|map('list')|list|length }}",
    "two calls each": "{% macro f(n) %}{% if n < 60 %}{{ f(n+1) }}{{ f(n+1) }}{% endif %}{% endmacro %}{{ f(0) }}",
    "a call of itself": "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(0) }}",
    "a loop of itself": "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "a long block": "{% set x %}{% for i in range(99999) %}" + "a" * 9999 + "{% endfor %}{% endset %}{{ x }}",
    "depth": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "length": "a" * 1_000_000,
    "no template": "{% for %}",
    "a way out": "{{ ''.__class__.__mro__ }}",
    "a file": "{% include '/etc/passwd' %}",
    "silence": "Hello.",
    "words of its own": "{{ messages.user.name.first }}",
}


@pytest.mark.parametrize("source", [CHATML, RICH, GEMMA.replace("System role", "Any role")])
def test_a_template_renders_as_in_transformers(source: str) -> None:
    tokenizer = chat_tokenizer()
    tokenizer.chat_template = source
    turns = TURNS[1:] if source.startswith("{{ bos") else TURNS
    expected = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert ChatTemplate(source, tokenizer.special_tokens_map, "tiny").render(turns) == expected


def test_a_template_without_a_system_turn_gets_its_words_in_the_first_user_turn() -> None:
    template = ChatTemplate(GEMMA, TOKENS, "tiny")
    text = template.render([*TURNS, {"role": "user", "content": "In one word."}])
    assert "Be brief.\n\nWhat holds a shell together?" in text
    assert "bone?\n\nIn one word.<end>" in text
    assert "Go on." in template.render([{"role": "assistant", "content": "A shell."}, TURNS[1]])


def test_a_template_that_leaves_the_system_out_in_silence_gets_its_words_too() -> None:
    silent = "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    assert "[user]Be brief.\n\nWhat" in ChatTemplate(silent, TOKENS, "tiny").render(TURNS)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_template_is_one_line(kind: str) -> None:
    with pytest.raises(DataError, match="the chat template of tiny") as caught:
        ChatTemplate(HOSTILE[kind], TOKENS, "tiny")
    assert "\n" not in str(caught.value)


def test_a_template_that_turns_hostile_later_is_stopped_then() -> None:
    late = "{% if messages|length > 2 %}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    template = ChatTemplate(late + "{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}", TOKENS, "tiny")
    with pytest.raises(DataError, match="takes more than"):
        template.render(TURNS)
