r"""A flow with a retry, a fan-out, a collect and a join.

accept --order.accepted--> charge (fails twice, then works) ------\
          \--item.wanted x 20--> pack (once each) --collect--> bundle --all_of--> ship
"""

from __future__ import annotations

from pydantic import BaseModel

from runfold import Context, Flow, Retry, Topic, after, all_of, collect

_FAILURES = 2
"""How often the bank of this demo refuses before it answers."""


class Order(BaseModel):
    """What somebody wants."""

    number: str
    items: list[str]


class Packed(BaseModel):
    """A thing in its box."""

    name: str
    grams: int


class Parcel(BaseModel):
    """All boxes of an order."""

    boxes: int
    grams: int


class Shipment(BaseModel):
    """What ``ship`` waits for: both, or nothing happens."""

    payment: str
    parcel: Parcel


accepted = Topic("order.accepted", Order)
wanted = Topic("item.wanted", str)
flow = Flow("ship-order", input=Order, result=str)


@flow.entry(emits=[accepted, wanted])
async def accept(order: Order, ctx: Context) -> None:
    """Take the order, and ask for each of its items."""
    ctx.emit(accepted, order)
    for name in order.items:
        ctx.emit(wanted, name)


@flow.step(subscribes=accepted, retry=Retry(_FAILURES + 2, base=0.2, jitter=0))
async def charge(order: Order, ctx: Context) -> str:
    """Charge the customer; ``ctx.job_id`` is the same in every attempt, so only once."""
    if ctx.attempt <= _FAILURES:
        raise ConnectionError(f"bank: 503, attempt {ctx.attempt}")
    ctx.log.info("charged", order=order.number, idempotency_key=ctx.job_id)
    return f"payment-{order.number}"


@flow.step(subscribes=wanted)
async def pack(name: str) -> Packed:
    """Pack one item; of twenty, as many at once as there are slots."""
    return Packed(name=name, grams=100 + len(name))


@flow.step(subscribes=collect(after(pack)))
async def bundle(packed: list[Packed]) -> Parcel:
    """Put all boxes together, once no item can come any more."""
    return Parcel(boxes=len(packed), grams=sum(box.grams for box in packed))


@flow.step(subscribes=all_of(payment=after(charge), parcel=after(bundle)), returns=True)
async def ship(shipment: Shipment) -> str:
    """Send the parcel that is paid for."""
    parcel = shipment.parcel
    return f"{parcel.boxes} boxes, {parcel.grams} g, {shipment.payment}"
