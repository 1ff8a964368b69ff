"""Film: one record, whatever its sources."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from motags.films.values import READ, Unreadable, id_text, plain_text


def _tags(value: Any) -> Any:
    named = isinstance(value, list | tuple)
    return [{"name": tag} if isinstance(tag, str) else tag for tag in value] if named else value


class Tag(BaseModel):
    """A tag as its sources spell it; `kind` is None where they don't say."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    name: Annotated[str, BeforeValidator(plain_text)]
    kind: Literal["genre", "keyword"] | None = None
    sources: list[str] = []


class Origin(BaseModel):
    """What a source was like when it was read: for attribution, and to look it up again."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    licence: str | None = None
    url: str | None = None
    revision: int | None = None
    fetched: str | None = None


class Film(BaseModel):
    """One film: countries as ISO 3166-1 codes (US), the original's languages as ISO 639 codes (fr), runtime in minutes.

    `ids` are its ids elsewhere. `origins` says of each field which source it comes from (each tag says
    so itself), `sources` what that source was like.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    id: Annotated[str, BeforeValidator(id_text)]
    title: Annotated[str, BeforeValidator(plain_text)]
    year: Annotated[int, Field(ge=1870, le=2100)] | None = None
    plot: Annotated[str | None, BeforeValidator(plain_text)] = None
    synopsis: Annotated[str | None, BeforeValidator(plain_text)] = None
    lead: Annotated[str | None, BeforeValidator(plain_text)] = None
    tagline: Annotated[str | None, BeforeValidator(plain_text)] = None
    directors: list[str] = []
    writers: list[str] = []
    cast: list[str] = []
    companies: list[str] = []
    countries: list[str] = []
    languages: list[str] = []
    runtime: Annotated[int, Field(ge=1)] | None = None
    poster: str | None = None
    trailer: str | None = None
    tags: Annotated[list[Tag], BeforeValidator(_tags)] = []
    ids: dict[str, str] = {}
    posters: list[str] = []
    trailers: list[str] = []
    origins: dict[str, str] = {}
    sources: dict[str, Origin] = {}


COLUMNS = tuple(column for column in READ if column != "text")  # what that says stands in another


def film_of(row: Any, source: str) -> Film | str:
    """The film of a row that `reading.Reading` gave, or the reason why there is none.

    A film that has its text in the column `text` alone has it as its plot.
    """
    if isinstance(row, Unreadable):
        return row
    if not isinstance(row, dict):
        return f"a {type(row).__name__} where an object is expected"
    fields = {column: row[column] for column in COLUMNS if column in row}
    if row.get("text") and not any(map(fields.get, ("plot", "synopsis", "lead"))):
        fields["plot"] = row["text"]
    try:
        film = Film.model_validate(fields)
    except ValidationError as error:
        return first_mistake(error)
    tags = [tag.model_copy(update={"sources": [source]}) for tag in film.tags]
    origins = {field: source for field in fields if field not in {"id", "tags"} and getattr(film, field)}
    return film.model_copy(update={"tags": tags, "origins": origins, "sources": {source: Origin()}})


def first_mistake(error: ValidationError) -> str:
    """What is wrong with a record, the field first."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']} (got {str(first['input'])[:40]!r})"
