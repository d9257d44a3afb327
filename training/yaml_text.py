"""YAML as people write it: a key that stands twice in one place is refused, not silently the last one's."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """As PyYAML does, after the keys were looked at; those that ``<<`` brings may be written over."""
        known: set[tuple[str, str]] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in known:
                    raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {key.value!r} stands twice")
                known.add((key.tag, key.value))
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def read_yaml(text: str) -> Any:
    """What a YAML document holds.

    Raises:
        yaml.YAMLError: It is none, holds several, or a key stands twice; the error says where.
    """
    return yaml.load(text, Loader=_Loader)
