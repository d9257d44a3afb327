"""Refusals in the words of servers in use, answers in the forms of models in use: quirks for a whole design."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fixtures_dialects import THOUGHT, Body, Quirk, Refusal, alternates, documents, roles, texts, worded


def has(name: str) -> Callable[[Body], bool]:
    return lambda body: name in body


def from_system(body: Body) -> bool:
    return "system" in roles(body)


def is_whole(body: Body) -> bool:
    return not body.get("stream")


def asks_for(*kinds: str) -> Callable[[Body], bool]:
    return lambda body: body.get("response_format", {}).get("type") in kinds


def when(condition: Callable[[Body], bool], status: int, body: Any) -> Quirk:
    return Quirk(lambda asked: Refusal(status, body) if condition(asked) else None)


def error(message: str, **more: Any) -> Body:
    return {"error": {"message": message, **more}}


JSON = ("json_schema", "json_object")
SYSTEM = {
    "flat_body": {"object": "error", "message": "System role not supported", "type": "BadRequestError", "code": 400},
    "list_of_one": [error("Developer instruction is not enabled for models/gemma-3-27b-it", code=400)],
    "place_of_a_role": error("Unsupported value: 'messages[0].role' does not support 'system' with this model."),
    "template_shown": error(
        "While executing CallExpression in source: ...\nError: Jinja Exception: System role not ok"
    ),
    "roles_listed": {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user'"}]},
    "gateway_of_gateway": {"detail": "(ValidationException): This model doesn't support system messages. Try again."},
    "odd_number": {"error_code": 336006, "error_msg": "the length of messages must be an odd number"},
    "chinese_role": error("messages[0] 角色信息不正确", code="1214"),
    "status_in_base": {"choices": None, "base_resp": {"status_code": 2013, "status_msg": "invalid role: system"}},
    "begins_with_user": {"message": "A conversation must start with a user message."},
}
SEED = {
    "json_in_json": {"message": '{"detail":[{"loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}'},
    "message_is_a_part": {"message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}},
    "out_of_range": error("seed must be between 0 and 65535"),
    "extraneous_key": {
        "message": "Malformed input request: #: extraneous key [seed] is not permitted, please reformat"
    },
    "chinese": error("参数seed不支持该模型"),
    "of_the_provider": error("Provider returned error", metadata={"raw": '{"error":{"message":"Unsupported: seed"}}'}),
    "field_violation": [
        error("Invalid argument.", details=[{"fieldViolations": [{"field": "generation_config.seed"}]}])
    ],
}
FORMAT = {
    "validate_json": error("Failed to validate JSON. Please adjust your prompt. See 'failed_generation'."),
    "only_since": error("response_format value as json_schema is enabled only for api versions 2024-08-01 and later"),
    "vocabulary": error("failed to load model vocabulary required for format"),
    "too_many_states": [error("The specified schema produces a constraint that has too many states for serving.")],
    "with_thinking": error("Json mode response is not supported when enable_thinking is true"),
    "no_endpoint": error("No endpoints found that can handle the requested parameters: response_format.", code=404),
}
STREAM = {
    "stream_mode": error(
        "This model only support stream mode, please enable the stream parameter to access the model."
    ),
    "thinking_calls": error("parameter.enable_thinking must be set to false for non-streaming calls"),
    "thinking_chinese": error("parameter.enable_thinking必须设置为false才能进行非流式调用"),
    "above_a_limit": error("Requests with max_tokens > 4096 must have stream=true"),
    "must_be_true": {"detail": [{"loc": ["body", "stream"], "msg": "Value error, stream must be true"}]},
}
REFUSALS = {
    **{f"system_{name}": when(from_system, 400, body) for name, body in SYSTEM.items()},
    "system_in_200": when(from_system, 200, SYSTEM["status_in_base"]),
    "system_in_template_500": when(from_system, 500, SYSTEM["template_shown"]),
    "turns_alternate": when(lambda body: not alternates(body), 400, error("user and assistant roles should alternate")),
    **{f"seed_{name}": when(has("seed"), 400, body) for name, body in SEED.items()},
    **{f"format_{name}": when(asks_for(*JSON), 400, body) for name, body in FORMAT.items()},
    "format_404": when(asks_for(*JSON), 404, FORMAT["no_endpoint"]),
    "format_500": when(asks_for(*JSON), 500, FORMAT["vocabulary"]),
    **{f"stream_{name}": when(is_whole, 400, body) for name, body in STREAM.items()},
    "limit_in_camels": when(has("max_tokens"), 400, {"error": "Argument not supported on this model: maxTokens"}),
    "temperature_only_1": when(has("temperature"), 400, error("invalid temperature: only 1 is allowed")),
    "temperature_chinese": when(has("temperature"), 400, error("temperature参数不支持", code="1210")),
    "temperature_deprecated": when(has("temperature"), 400, error("`temperature` is deprecated for this model.")),
    "top_p_greedy": when(has("top_p"), 422, {"message": "top_p must be 1 when using greedy sampling."}),
    "harmony_for_json": texts(
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|>"
        "<|start|>assistant<|channel|>final <|constrain|>JSON<|message|>TEXT"
    ),
    "harmony_without_tokens": texts(f"analysis{THOUGHT}assistantfinalTEXT"),
    "channel_of_gemma": texts(f"<|channel>thought\n{THOUGHT}<channel|>TEXT<turn|>"),
    "thinking_of_command": texts(f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>TEXT<|END_RESPONSE|>"),
    "answer_in_tags": texts(f"<think>\n{THOUGHT}\n</think>\n<answer>\nTEXT\n</answer>"),
    "role_at_the_head": texts("<|im_start|>assistant\nTEXT<|im_end|>"),
    "header_at_the_head": texts("<|start_header_id|>assistant<|end_header_id|>\n\nTEXT<|eot_id|>"),
    "trailing_comma_in_prose": documents(lambda text: {"content": f"Here it is: {text[:-1]},}} Enjoy."}),
    "comments": documents(lambda text: {"content": text.replace("{", "{ // the design\n", 1)}),
    "python_literal": documents(lambda text: {"content": text.replace('"', "'")}),
    "curly_quotes": documents(lambda text: {"content": text.replace('"', "“")}),
    "quoted_lines": worded("> JSON"),
    "json_in_open_thought": documents(lambda text: {"content": f"<think>{THOUGHT} {text}"}),
    "usage_without_choices": Quirk(events=lambda events: [*events[:-1], '{"usage": {}, "choices": null}', "[DONE]"]),
    "pings": Quirk(events=lambda events: ['{"type": "ping"}', *events]),
}
"""Other words for what servers refuse, and other forms of answers; with each a whole design must come out."""
