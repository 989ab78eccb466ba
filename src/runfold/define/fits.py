"""Whether values of one annotation can be what another annotation asks for."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel
from typing_extensions import is_typeddict

from runfold.define.typed_dicts import fields_of

_NUMBERS: dict[type, tuple[type, ...]] = {float: (int,), complex: (int, float)}


def fits(given: Any, wanted: Any) -> bool:
    """Return False when values of type ``given`` surely do not fit ``wanted``.

    In doubt it is True: pydantic looks at every value anyway. A dict fits a model, a
    dataclass and a TypedDict, which are made from it.
    """
    given, wanted = _bare(given), _bare(wanted)
    if given == wanted or _says_nothing(given) or _says_nothing(wanted):
        return True
    if _is_union(given):
        return all(fits(one, wanted) for one in typing.get_args(given))
    if _is_union(wanted):
        return any(fits(given, one) for one in typing.get_args(wanted))
    if typing.get_origin(given) is Literal:
        return _literal_fits(given, wanted)
    if typing.get_origin(wanted) is Literal:
        return True
    return _class_fits(given, wanted)


def show(annotation: Any) -> str:
    """Return ``annotation`` as it would be written."""
    if annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__qualname__.rsplit("<locals>.", 1)[-1]
    return str(annotation).replace("typing.", "")


def _bare(annotation: Any) -> Any:
    if annotation is None:
        return type(None)
    while typing.get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    supertype = getattr(annotation, "__supertype__", None)  # Of a NewType.
    return _bare(supertype) if supertype is not None else annotation


def _says_nothing(annotation: Any) -> bool:
    return (
        annotation is Any
        or annotation is object
        or isinstance(annotation, typing.TypeVar | str | typing.ForwardRef)
        or getattr(annotation, "_is_protocol", False)
    )


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (Union, types.UnionType)


def _literal_fits(given: Any, wanted: Any) -> bool:
    values = typing.get_args(given)
    if typing.get_origin(wanted) is Literal:
        return set(values) <= set(typing.get_args(wanted))
    return all(fits(type(value), wanted) for value in values)


def _class_fits(given: Any, wanted: Any) -> bool:
    given_class, given_args = _parts(given)
    wanted_class, wanted_args = _parts(wanted)
    if not isinstance(given_class, type) or not isinstance(wanted_class, type):
        return True
    if _is_mapping(given_class) and (_is_record(wanted_class) or _is_mapping(wanted_class)):
        if is_typeddict(given_class) and is_typeddict(wanted_class):
            return _typed_dict_fits(given_class, wanted_class)
        if is_typeddict(given_class) or is_typeddict(wanted_class) or _is_record(wanted_class):
            return True
    if not _is_subclass(given_class, wanted_class):
        return given_class in _NUMBERS.get(wanted_class, ())
    if given_class is not wanted_class and len(given_args) != len(wanted_args):
        return True
    return all(fits(a, b) for a, b in zip(given_args, wanted_args, strict=False))


def _parts(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    generic = getattr(annotation, "__pydantic_generic_metadata__", None)
    if generic and generic["origin"] is not None:
        return generic["origin"], generic["args"]
    origin = typing.get_origin(annotation)
    return (annotation, ()) if origin is None else (origin, typing.get_args(annotation))


def _is_mapping(cls: type) -> bool:
    return is_typeddict(cls) or _is_subclass(cls, Mapping)


def _is_record(cls: type) -> bool:
    return _is_subclass(cls, BaseModel) or is_dataclass(cls) or is_typeddict(cls)


def _typed_dict_fits(given: Any, wanted: Any) -> bool:
    return {name for name, (_, needed) in fields_of(wanted).items() if needed} <= set(
        given.__annotations__
    )


def _is_subclass(cls: type, other: type) -> bool:
    try:
        return issubclass(cls, other)
    except TypeError:  # TypedDicts and protocols answer no such question.
        return cls is other
