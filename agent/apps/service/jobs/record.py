"""What a job is: what the client asked, and how far it is. Both are kept beside the table, in `job.json`.

form = JobForm(column="Diagnose", header_row=3)
code_file(agent, source, target, **form.arguments())
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from agent.apps.files.table import TableOptions, separator

State = Literal["queued", "running", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
Format = Literal["csv", "tsv", "xlsx", "parquet", "jsonl"]


def _one_character(written: str) -> str:
    try:
        separator(written)
    except ValueError:
        raise PydanticCustomError("delimiter", "is no separator") from None
    return written


def _said(description: str) -> Any:
    return Field(None, max_length=200, description=description)


class JobForm(BaseModel):
    """What may be said about a table, as the options of `onkokode code-file` say it."""

    # A field that is misspelt would be lost.
    model_config = ConfigDict(extra="forbid")

    format: Format | None = Field(
        default=None,
        description="Of the result; by default that of the table, of .ods and .xls that of .xlsx.",
    )
    column: str | None = _said(
        "Column with the diagnosis texts, by name or number; found by itself where it is clear."
    )
    site: str | None = _said("Column with the site of the same tumour.")
    histology: str | None = _said("Column with its histology.")
    side: str | None = _said("Column with its side: links, rechts, beidseits, L, R, B.")
    behaviour: str | None = _said("Column with its behaviour, a digit of ICD-O-3.")
    date_column: str | None = _said("Column with the date of diagnosis.")
    tumour: bool = Field(False, description="Every row is a tumour's, as in a registry.")
    header: bool | None = Field(
        default=None, description="Whether the first row names the columns; by default found."
    )
    header_row: int | None = Field(
        default=None,
        ge=1,
        description="Line of a text file, or row of a sheet, that names the columns; titles above it are found.",
    )
    sheet: str | None = _said("Sheet of a workbook; by default the first that is not empty.")
    delimiter: Annotated[str, AfterValidator(_one_character)] | None = Field(
        default=None,
        max_length=3,
        description="Field separator of a text file, or `tab`; by default found.",
    )
    encoding: str | None = _said("Encoding of a text file, such as cp1252; by default found.")

    @model_validator(mode="after")
    def _agrees(self) -> JobForm:
        if self._table_options().contradictory:
            raise PydanticCustomError("contradiction", "header_row and header contradict each other")
        return self

    def _table_options(self) -> TableOptions:
        return TableOptions(
            self.encoding, separator(self.delimiter), self.sheet, self.header, self.header_row
        )

    def arguments(self) -> dict[str, Any]:
        """What `code_file` takes."""
        return {
            "column": self.column,
            "fields": self.model_dump(include={"site", "histology", "side", "behaviour"}),
            "date_column": self.date_column,
            "tumour": self.tumour,
            "options": self._table_options(),
        }


class Job(BaseModel):
    """How far a job is."""

    id: str
    state: State
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    rows: int | None = Field(default=None, description="Of the table; null until it has been looked over.")
    rows_done: int = 0
    rows_per_second: float | None = Field(default=None, description="Since it was begun, or taken up again.")
    read: str | None = Field(
        default=None, description="What was taken for what, in German: encoding, header, columns."
    )
    notes: list[str] = Field(
        default=[], description="What was odd about the table, in German, without its texts."
    )
    counts: dict[str, int] = Field(default={}, description="Rows by outcome, once it is done.")
    problem: str | None = Field(
        default=None,
        description="Why it failed, with the row where there is one, and what helps: which field of the request says "
        "what could not be found out.",
    )

    @property
    def over(self) -> bool:
        """Whether nothing more happens."""
        return self.state not in ("queued", "running")


class Record(BaseModel):
    """A job as it lies on the disk."""

    form: JobForm
    job: Job
    source: str
    """The table's name there: our own word, with the ending of the file that was sent."""
    result: str | None = None
    """The result's, which is known once the table has been looked at."""
