"""Settings: fields of a configuration that say, where they are declared, what they mean and which values they take.

What refuses a value, the flags of `nas`, `nas config` and the tables in docs/settings.md all read the declaration, so
that a bound, a word or a sentence stands once.
"""

from __future__ import annotations

import dataclasses
import textwrap
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

from searchspace.schema import Fields, dump_yaml, nearest

_KEY = "setting"
_WIDTH = 110


@dataclasses.dataclass(frozen=True)
class Setting:
    """A declared field; see `setting` for what is said of it.

    Attributes:
        name: of the field.
        kind: of its values: `int`, `float`, `bool`, `str`, or a `tuple` of two numbers or of words.
        optional: whether None is allowed.
        default: where it is not given; `dataclasses.MISSING` where there is none.
    """

    help: str
    low: float
    high: float
    unit: str
    words: Collection[str]
    reads: Callable[[str], object] | None
    form: str
    otherwise: str
    auto: bool
    name: str = ""
    kind: type[Any] = str
    optional: bool = False
    default: object = None

    @property
    def allowed(self) -> str:
        """The values that it takes, for tables and comments: `0 to 1`, `sgd, adamw`, or how it is written."""
        if self.kind is bool:
            text = "true, false"
        elif self.words:
            text = ", ".join(self.words)
        elif self.form or self.kind is str:
            text = self.form or "text"
        else:
            text = f"{_number(self.low)} to {_number(self.high)}" + (f" {self.unit}" if self.unit else "")
            text = f"two of {text}" if self.kind is tuple else text
        return f"{text}, or null" if self.optional else text

    @property
    def default_text(self) -> str:
        """What holds where it is not given, or ""."""
        if self.otherwise or self.default is None:
            return self.otherwise
        if self.default is dataclasses.MISSING:
            return "as the recipe says"
        if isinstance(self.default, tuple):
            return ", ".join(map(str, self.default))
        return str(self.default).lower() if self.kind is bool else str(self.default)

    def check(self, fields: Fields) -> object:
        """The value among fields, a list as a tuple; raises `ValueError` where it is not allowed."""
        value = fields.raw(self.name)
        if value is None and self.optional:
            return None
        try:
            value = self._checked(fields, value)
        except ValueError as error:
            raise ValueError(f"{error}, or None" if self.optional else str(error)) from None
        if self.reads is not None and self.kind is str:
            self.reads(value)
        return value

    def _checked(self, fields: Fields, value: Any) -> Any:
        if self.kind is bool:
            return fields.boolean(self.name)
        if self.kind is tuple and self.low < self.high:
            return fields.pair(self.name, self.low, self.high)
        if self.kind is tuple:
            if not isinstance(value, tuple | list):
                such = f"of {', '.join(self.words)}" if self.words else f"such as {self.default_text}"
                raise fields.refuse(self.name, value, f"a list {such}")
            for item in value:
                dataclasses.replace(self, kind=str).check(Fields({self.name: item}, fields.where))
            return tuple(value)
        if self.kind is int:
            fields.integer(self.name, int(self.low), int(self.high))
        elif self.kind is float:
            fields.number(self.name, self.low, self.high)
        elif self.words:
            fields.one_of(self.name, self.words)
        else:
            fields.free_text(self.name, self.help)
        return value  # a whole number stays one where others are allowed


def setting(
    help: str,
    low: float = 0,
    high: float = 0,
    unit: str = "",
    *,
    default: Any = dataclasses.MISSING,
    words: Collection[str] = (),
    reads: Callable[[str], object] | None = None,
    form: str = "",
    otherwise: str = "",
    auto: bool = False,
) -> Any:
    """A field of a `Settings` class; what kind of values it has follows from its annotation.

    Args:
        help: what it is, in a sentence without a capital letter and a full stop.
        low, high: bounds of a number, or of both ends of a range.
        unit: of a number, in the plural.
        default: where it is not given.
        words: those that are allowed; a registry, which is read whenever it is asked.
        reads: reads a text, and raises `ValueError` where it cannot.
        form: how a text is written, such as "TxHxW@FPS".
        otherwise: what holds where it is not given, where `default` does not say.
        auto: whether the word `auto` is taken on the way to the class, and resolved there.
    """
    found = Setting(help, low, high, unit, words, reads, form, otherwise, auto)
    return dataclasses.field(default=default, metadata={_KEY: found})


@typing.dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting, dataclasses.field))
class Settings:
    """A configuration: subclasses are frozen dataclasses whose fields are declared by `setting`.

    Making one refuses values that are not allowed (raises `ValueError`); lists become tuples.

    Attributes:
        where: what stands before names in errors.
        declared: the settings of the class by name.
    """

    __dataclass_fields__: typing.ClassVar[dict[str, dataclasses.Field[Any]]]
    where: typing.ClassVar[str] = "setting"
    declared: typing.ClassVar[Mapping[str, Setting]] = {}

    def __init_subclass__(cls, where: str = "", **options: Any) -> None:
        """Makes the subclass a dataclass."""
        super().__init_subclass__(**options)
        if where:
            cls.where = where
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        cls.declared = _declared(cls)

    def __post_init__(self) -> None:
        fields = Fields(dict(vars(self)), self.where)
        for name, found in self.declared.items():
            object.__setattr__(self, name, found.check(fields))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        data = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}


def _declared(cls: type[Settings]) -> Mapping[str, Setting]:
    hints, found = typing.get_type_hints(cls), {}
    for field in dataclasses.fields(cls):
        if _KEY not in field.metadata:
            continue
        parts = [hints[field.name]]
        if isinstance(parts[0], types.UnionType):
            parts = [part for part in typing.get_args(parts[0]) if part is not type(None)]
        kind = typing.get_origin(parts[0]) or parts[0]
        found[field.name] = dataclasses.replace(
            field.metadata[_KEY],
            name=field.name,
            kind=str if kind is typing.Literal else kind,
            optional=parts[0] != hints[field.name],
            default=field.default,
        )
    return types.MappingProxyType(found)


def given_in(cls: type[Settings], data: object, where: str) -> dict[str, Any]:
    """The settings of a class that a mapping of a file gives; raises `ValueError` for an unknown one."""
    fields = Fields(data, where)
    found = {name: fields.raw(name, None) for name in cls.declared}
    fields.done()
    return {name: value for name, value in found.items() if fields.has(name)}


def check_names(cls: type[Settings], given: Mapping[str, Any]) -> None:
    """Refuses settings that the class does not have (raises `ValueError` that names the nearest)."""
    known = [field.name for field in dataclasses.fields(cls)]
    for key in given:
        if key not in known:
            raise ValueError(f"unknown setting {key!r}{nearest(key, known)}; known: {', '.join(known)}")


def commented(values: Settings, indent: str = "") -> str:
    """The text of a YAML file with every value, and above it what it means and what is allowed."""
    lines = []
    for name, found in values.declared.items():
        text = f"{found.help} [{found.allowed}]"
        lines += textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
        value = values.to_dict()[name]
        lines += dump_yaml({name: value}, flow=None if isinstance(value, list) else False).splitlines()
    return "".join(f"{indent}{line}\n" for line in lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or isinstance(value, int) else f"{value:g}"
