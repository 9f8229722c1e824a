"""Checks dashboards against Grafana's own types: `python3 check.py FILE...`

The types come from Grafana Labs' package grafana-foundation-sdk, which is generated from Grafana's
schema. A dashboard is read into them. It is wrong where a key is lost on the way (Grafana does not
know it), where a value is not of the type that the schema gives, and where a panel or a query is of
a kind that the package does not know. Prints one line for each mistake; exit status 1 if there is
one.
"""

import enum
import json
import sys
import typing

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.cog.runtime import UnknownDataquery, panelcfg_config
from grafana_foundation_sdk.models import dashboard


def lost(original, kept, path):
    """What is in `original` and not, or otherwise, in `kept`."""
    if isinstance(original, dict) and isinstance(kept, dict):
        for key, value in original.items():
            if key not in kept:
                yield f"{path}.{key}: Grafana has no such key"
            else:
                yield from lost(value, kept[key], f"{path}.{key}")
    elif isinstance(original, list) and isinstance(kept, list):
        if len(original) != len(kept):
            yield f"{path}: {len(original)} entries, of which {len(kept)} are read"
        for index, (one, other) in enumerate(zip(original, kept)):
            yield from lost(one, other, f"{path}[{index}]")
    elif original != kept:
        yield f"{path}: {original!r} is read as {kept!r}"


def mistyped(value, hint, path):
    """Where `value` is not of the type `hint`."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint in (object, typing.Any) or isinstance(hint, typing.TypeVar):
        return
    if origin is typing.Union:
        # The part that was meant tells most: that of the value's own class, if there is one.
        own = [part for part in parts if isinstance(part, type) and isinstance(value, part)]
        meant = own or [part for part in parts if value is None or part is not type(None)]
        attempts = [list(mistyped(value, part, path)) for part in meant]
        if all(attempts):
            yield from min(attempts, key=len)
    elif origin is typing.Literal:
        if value not in parts:
            yield f"{path}: {value!r} is none of {parts}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for index, entry in enumerate(value):
            yield from mistyped(entry, parts[0], f"{path}[{index}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no object"
            return
        for key, entry in value.items():
            yield from mistyped(entry, parts[1], f"{path}.{key}")
    elif hint is type(None):
        if value is not None:
            yield f"{path}: {value!r} is not null"
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in [member.value for member in hint] and not isinstance(value, hint):
            yield f"{path}: {value!r} is none of {[member.value for member in hint]}"
    elif hint in (int, float):
        numbers = (int, float) if hint is float else (int,)
        if isinstance(value, bool) or not isinstance(value, numbers):
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif hint in (str, bool):
        if not isinstance(value, hint):
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif isinstance(hint, type):
        if isinstance(value, dict) and hasattr(hint, "from_json"):
            kept = hint.from_json(value)
            yield from lost(value, plain(kept), path)
            value = kept
        yield from of_class(value, hint, path)


def of_class(value, hint, path):
    """The same for a class of the package; a panel's parts are of the panel's kind."""
    if not isinstance(value, hint):
        yield f"{path}: {value!r} is no {hint.__name__}"
        return
    if isinstance(value, UnknownDataquery):
        yield f"{path}: a query of an unknown kind"
        return
    if isinstance(value, dashboard.Panel) and panelcfg_config(value.type_val) is None:
        yield f"{path}: a panel of an unknown kind {value.type_val!r}"
        return
    hints = typing.get_type_hints(type(value))
    for name, part in hints.items():
        held = getattr(value, name, None)
        # A panel's options and fields are of the panel's kind, so their class says more.
        if hasattr(held, "to_json") and {part, *typing.get_args(part)} & {object, typing.Any}:
            part = type(held)
        if held is not None or type(None) not in typing.get_args(part):
            yield from mistyped(held, part, f"{path}.{name}")


def plain(value):
    return json.loads(json.dumps(value, cls=JSONEncoder))


def mistakes(original):
    kept = dashboard.Dashboard.from_json(original)
    yield from lost(original, plain(kept), "")
    yield from of_class(kept, dashboard.Dashboard, "")


def main(files):
    register_default_plugins()
    found = 0
    for file in files:
        with open(file, encoding="utf-8") as opened:
            original = json.load(opened)
        for mistake in mistakes(original):
            print(f"{file}: {mistake}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
