"""Change fields of a frozen dataclass by name, and describe a whole one as plain data.

A run is a recipe: a nested frozen dataclass (`recipes/`). `override(recipe, "train.steps=100")`
returns a changed copy and refuses unknown fields and values that do not fit. `describe` gives the
form that is saved with each checkpoint, and `parse` reads it back.
"""

from __future__ import annotations

import copy
import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypeVar

import yaml

from omnidet import plugins

Config = TypeVar("Config")
_HALVES = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")


def require(holds: bool, complaint: str) -> None:
    """Raise ValueError with the complaint unless `holds`; for checks in `__post_init__`."""
    if not holds:
        raise ValueError(complaint)


def require_decimal(name: str, text: str) -> None:
    """Raise ValueError for a whole number that YAML 1.1 reads otherwise than people.

    `010` is 8 there, and `1:30` is 90.
    """
    if not re.fullmatch(r"[-+]?(0|[1-9][0-9_]*)", text.strip()):
        raise ValueError(f"{name}={text.strip()}: write the number in decimals, such as 100")


class _Careful:
    """Mixed into a loader of YAML: no key twice, for YAML lets the last one count alone, with all
    that is in it; and the letters of JSON, which writes those beyond 16 bits as two halves.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"{key.value!r} comes twice, take one out,"
                    mark = key.start_mark
                    raise yaml.constructor.ConstructorError(problem=problem, problem_mark=mark)
                seen.add(key.value)
        made: dict[Any, Any] = super().construct_mapping(node, deep)  # type: ignore[misc]  # a mixin
        return made

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        text = super().construct_scalar(node)  # type: ignore[misc]
        if not _HALVES.search(text):
            return text
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


class _Values(_Careful, yaml.SafeLoader):
    pass


class _Texts(_Careful, yaml.BaseLoader):
    pass


def read_yaml(content: str | bytes, *, as_texts: bool = False) -> Any:
    """YAML, or JSON, as plain objects. Raises yaml.YAMLError, also for a key that comes twice.

    Args:
        as_texts: give each scalar as the text that stands there: `no` and `7` are words.
    """
    # Both loaders make plain objects alone.
    return yaml.load(content, _Texts if as_texts else _Values)


def override(config: Config, *assignments: str) -> Config:
    """A copy of `config` with each `path.to.field=value` set.

    Values are read as YAML and checked against the type of the field. The parts check themselves
    when all is set, so that fields that only fit together can be changed. Raises ValueError with
    the wrong name or value, and with what would be right.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(
                f"{assignment!r} is not of the form field=value, as in train.steps=100"
            )
        try:
            value = read_yaml(text)
        except yaml.YAMLError as error:
            raise ValueError(f"{assignment!r}: {text!r} is not a YAML value") from error
        if isinstance(value, int) and not isinstance(value, bool):
            require_decimal(path.strip(), text)
        config = _replaced(config, path.strip().split("."), value, path.strip())
    checked: Config = _checked_whole(config)
    return checked


def override_nested(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy of `config` with the fields of a nested mapping set, such as that of params.yaml.

    Checks and raises as `override` does.
    """
    checked: Config = _checked_whole(_nested(config, values, ""))
    return checked


def _nested(config: Config, values: Mapping[str, Any], prefix: str) -> Config:
    for name, value in values.items():
        path = f"{prefix}{name}"
        current = _field(config, name, path)
        if isinstance(value, Mapping) and dataclasses.is_dataclass(current):
            folder = _folder_of_plugins(config, name)
            given = dict(value)
            if folder and given.get("kind", plugins.kind_of(current)) != plugins.kind_of(current):
                current = plugins.make(folder, _plugin_value(folder, given["kind"], path))
            if folder:
                given.pop("kind", None)
            config = _with(config, name, _nested(current, given, f"{path}."))
        elif isinstance(value, Mapping) and isinstance(current, tuple):
            for names, own in _leaves(value):
                config = _replaced(config, [name, *names], own, ".".join([path, *names]))
        else:
            config = _replaced(config, [name], value, path)
    return config


def describe(value: Any) -> Any:
    """A nested config as plain data: dict, list, str, number, bool, None.

    A part with settings of its own (`plugins.py`) is described with its `kind`. Nothing depends on
    where a Python module is, because a run is recognised by a hash over this form. Raises TypeError
    for a function: a recipe names its parts.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = plugins.kind_of(value)
        fields = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return fields if kind is None else {"kind": kind, **fields}
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [describe(v) for v in value]
    if isinstance(value, PurePath):
        return str(value)
    if callable(value) or isinstance(value, types.ModuleType):
        raise TypeError(f"{value!r} in a recipe: give its name as text (omnidet/plugins.py)")
    return value


def parse(kind: type[Config], content: Mapping[str, Any]) -> Config:
    """The dataclass from which `describe` made `content`.

    Raises ValueError for an unknown field, and for a value that does not fit.
    """
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in content.items():
        if name not in fields:
            raise ValueError(f"{kind.__name__} has no field {name!r}")
        folder = fields[name].metadata.get("plugins")
        options = [
            h for h in (hints[name], *typing.get_args(hints[name])) if dataclasses.is_dataclass(h)
        ]
        several = isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
        if folder:
            values[name] = _plugin_value(folder, value, f"{kind.__name__}.{name}")
        elif isinstance(value, Mapping) and options:
            values[name] = parse(typing.cast(Any, options[0]), value)
        elif several and options:
            values[name] = tuple(parse(typing.cast(Any, options[0]), one) for one in value)
        else:
            values[name] = _checked(value, hints[name], name)
    return kind(**values)


def _plugin_value(folder: str, value: Any, path: str) -> Any:
    """A plug-in as a recipe has it: its name, its settings, None, or several of these."""
    if isinstance(value, (list, tuple)):
        return tuple(_plugin_value(folder, one, path) for one in value)
    if isinstance(value, Mapping):
        return _parsed_part(folder, value, path)
    if isinstance(value, str) and ":" not in value and value not in plugins.names(folder):
        raise ValueError(f"{path}={value!r}: give one of {', '.join(plugins.names(folder))}")
    if value is None or isinstance(value, str) or plugins.kind_of(value):
        return value
    raise ValueError(f"{path}={value!r} does not fit: expected the name of a part")


def _parsed_part(folder: str, content: Mapping[str, Any], path: str) -> Any:
    """The settings of a part. Older versions wrote no `kind`; then the fields decide."""
    own = {name: value for name, value in content.items() if name != "kind"}
    if "kind" in content:
        return parse(plugins.load(folder, content["kind"]), own)
    for name in plugins.names(folder):
        part = plugins.load(folder, name)
        if dataclasses.is_dataclass(part) and set(own) == {
            f.name for f in dataclasses.fields(part)
        }:
            return parse(typing.cast(Any, part), own)
    raise ValueError(f"{path} has unknown fields: {', '.join(own)}")


def _folder_of_plugins(config: Any, name: str) -> str | None:
    """The package whose plug-ins a field takes, from the metadata of the field."""
    (field,) = (f for f in dataclasses.fields(config) if f.name == name)
    folder: str | None = field.metadata.get("plugins")
    return folder


def _replaced(config: Config, names: list[str], value: Any, path: str) -> Config:
    current = _field(config, names[0], path)
    if len(names) > 1:
        if isinstance(current, tuple):
            value = _with_member(current, names[0], names[1:], value, path)
        elif dataclasses.is_dataclass(current):
            value = _replaced(current, names[1:], value, path)
        else:
            raise ValueError(f"unknown field {path!r}: {names[0]!r} has no fields of its own")
    else:
        folder = _folder_of_plugins(config, names[0])
        if folder:
            value = _plugin_value(folder, value, path)
            if dataclasses.is_dataclass(current):  # its fields can be set one by one
                value = plugins.make(folder, value)
        else:
            value = _checked(value, typing.get_type_hints(type(config))[names[0]], path)
    return _with(config, names[0], value)


def _with(config: Config, name: str, value: Any) -> Config:
    """A copy with one field changed, which does not check itself yet."""
    changed = copy.copy(config)
    object.__setattr__(changed, name, value)
    return changed


def _checked_whole(value: Any) -> Any:
    """The same, with each part made again from its fields: a part checks itself when it is made."""
    if type(value) is tuple:
        return tuple(_checked_whole(one) for one in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    fields = {f.name: _checked_whole(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return dataclasses.replace(value, **fields)


def _leaves(content: Mapping[str, Any]) -> Iterator[tuple[list[str], Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from (([str(name), *names], own) for names, own in _leaves(value))
        else:
            yield [str(name)], value


def _with_member(
    members: tuple[Any, ...], of: str, names: list[str], value: Any, path: str
) -> tuple[Any, ...]:
    """The parts, with a field of the named one changed: `streams.det.images_per_step=8`."""
    known = [member.name for member in members if hasattr(member, "name")]
    if names[0] not in known or len(names) == 1:
        parts = f"{of!r} has no fields of its own"
        if known:
            parts = f"its parts are {', '.join(known)}: give {of}.{known[0]}.FIELD"
        raise ValueError(f"unknown field {path!r}: {parts}")
    return tuple(_replaced(m, names[1:], value, path) if m.name == names[0] else m for m in members)


def _field(config: Any, name: str, path: str) -> Any:
    known = [f.name for f in dataclasses.fields(config)]
    if name not in known:
        raise ValueError(f"unknown field {path!r}: {type(config).__name__} has {', '.join(known)}")
    return getattr(config, name)


def _checked(value: Any, hint: Any, path: str) -> Any:
    """`value` as the type that `hint` asks for.

    An int passes for a float and a list for a tuple, and nothing looser.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            try:
                return _checked(value, option, path)
            except ValueError:
                continue
    elif origin is tuple and isinstance(value, (list, tuple)):
        items = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(items) == len(value):
            return tuple(_checked(v, h, path) for v, h in zip(value, items, strict=True))
    elif hint is type(None) and value is None:
        return None
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        try:
            return float(value)
        except ValueError:
            pass
    elif (
        isinstance(hint, type)
        and isinstance(value, hint)
        and not (hint is int and isinstance(value, bool))
    ):
        return value
    name = hint.__name__ if isinstance(hint, type) else str(hint)
    raise ValueError(f"{path}={value!r} does not fit: expected {name}")
