"""The types of event that this release can read, by the name they are stored under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runfold.kernel.event import Event


class UnknownEvent(Exception):
    """The log holds an event of a type or class version that this release does not know.

    A reader that met one stops: skipping it would fold to a state that never was.
    """

    def __init__(self, topic: str, version: int = 1) -> None:
        self.topic, self.version = topic, version
        super().__init__(
            f"event type {topic!r} (class version {version}) is not known to this release of "
            "runfold; it was written by a newer one: upgrade this process"
        )


class Registry:
    """A lookup from topic to event class; one topic, one class."""

    def __init__(self, classes: Iterable[type[Event]]) -> None:
        self._classes: dict[str, type[Event]] = {}
        for cls in classes:
            if cls.TOPIC in self._classes:
                raise ValueError(
                    f"topic {cls.TOPIC!r} names both {self._classes[cls.TOPIC].__name__} "
                    f"and {cls.__name__}; give one of them another TOPIC"
                )
            self._classes[cls.TOPIC] = cls

    def __getitem__(self, topic: str) -> type[Event]:
        """Return the class stored under ``topic``; raise ``UnknownEvent`` when there is none."""
        try:
            return self._classes[topic]
        except KeyError:
            raise UnknownEvent(topic) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __contains__(self, topic: object) -> bool:
        return topic in self._classes
