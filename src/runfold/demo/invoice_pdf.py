"""The invoice sample: figures, then a real PDF, then a mail with it in an outbox folder.

    generateInvoice --> generatePdf --> emailGeneration

A handler that is tried again writes the same file again: its name is taken from the invoice,
and the file appears whole or not at all.
"""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from pydantic import BaseModel

from runfold import Flow, SyncContext, after
from runfold.demo.pdf import Line, pdf


class Position(BaseModel):
    """One line of an invoice."""

    text: str
    cents: int


class Sale(BaseModel):
    """What was sold to whom."""

    number: str
    customer: str
    email: str
    positions: list[Position]


class Invoice(BaseModel):
    """A sale with its sum."""

    sale: Sale
    cents: int


class Document(BaseModel):
    """An invoice and the file that shows it."""

    invoice: Invoice
    file: str


flow = Flow("invoice_pdf", input=Sale, result=str)


@flow.entry("generateInvoice")
async def generate_invoice(sale: Sale) -> Invoice:
    """Add the positions up."""
    return Invoice(sale=sale, cents=sum(position.cents for position in sale.positions))


@flow.step("generatePdf", subscribes=after("generateInvoice"))
def generate_pdf(invoice: Invoice, ctx: SyncContext) -> Document:
    """Write the invoice as a PDF."""
    content = pdf(_lines(invoice), title=f"Invoice {invoice.sale.number}")
    file = _written(ctx.deps / "invoices" / f"{invoice.sale.number}.pdf", content)
    ctx.log.info("PDF written", file=str(file), bytes=len(content))
    return Document(invoice=invoice, file=str(file))


@flow.step("emailGeneration", subscribes=after("generatePdf"), returns=True)
def email_generation(document: Document, ctx: SyncContext) -> str:
    """Leave a mail with the PDF in the outbox, and return where."""
    sale = document.invoice.sale
    mail = EmailMessage()
    mail["Subject"] = f"Invoice {sale.number}"
    mail["From"], mail["To"] = "billing@example.com", sale.email
    mail["Message-ID"] = f"<{ctx.job_id.replace('#', '.')}@example.com>"
    if ctx.due_at is not None:
        mail["Date"] = format_datetime(ctx.due_at)
    mail.set_content(f"Dear {sale.customer},\n\nyour invoice is attached.\n")
    mail.add_attachment(
        Path(document.file).read_bytes(), maintype="application", subtype="pdf",
        filename=f"{sale.number}.pdf",
    )  # fmt: skip
    return str(_written(ctx.deps / "outbox" / f"{sale.number}.eml", bytes(mail)))


def _lines(invoice: Invoice) -> list[Line]:
    sale = invoice.sale
    head = [Line(60, 770, f"Invoice {sale.number}", 20), Line(60, 740, f"for {sale.customer}")]
    rows = [
        line
        for row, position in enumerate(sale.positions)
        for line in (
            Line(60, 700 - 18 * row, position.text),
            Line(450, 700 - 18 * row, _money(position.cents)),
        )
    ]
    foot = 700 - 18 * len(sale.positions) - 12
    return [*head, *rows, Line(60, foot, "Total", 13), Line(450, foot, _money(invoice.cents), 13)]


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02} €"


def _written(file: Path, content: bytes) -> Path:
    """Write ``content`` under another name first: nobody sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(file.suffix + ".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(file)
    return file
