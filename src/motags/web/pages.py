"""The page's templates and files."""

import hashlib
from pathlib import Path

from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent
# by how much evidence moves a tag's log odds: at even odds .1 is two and a half points of a hundred, 1.5 is over thirty
NOTICED, PLAINLY, STRONGLY = 0.1, 0.5, 1.5
FOREVER = "public, max-age=31536000, immutable"


class Pages:
    """Templates, which escape every text, and the addresses of the files beside them."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals["static"] = _address
        self._templates.globals["level"] = level
        self._templates.globals["stance"] = stance

    def part(self, template: str, /, **values: object) -> str:
        """A piece of a page."""
        return self._templates.get_template(f"{template}.html").render(values)

    def page(self, template: str, status: int = 200, /, **values: object) -> Response:
        """A whole page."""
        return HTMLResponse(self.part(template, **values), status)


class Files(StaticFiles):
    """The files, which a browser keeps: their addresses change with their bytes."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER / "static")

    def file_response(self, *args: object, **options: object) -> Response:
        """Answer with a file."""
        answer = super().file_response(*args, **options)  # type: ignore[arg-type]
        answer.headers["Cache-Control"] = FOREVER
        return answer


def _address(name: str) -> str:
    digest = hashlib.sha256((FOLDER / "static" / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def level(weight: float) -> str:
    """The class of a word that carries a score (`up1` to `up4`) or speaks against it (`down1` to `down4`), or ""."""
    strength = max(0, int(abs(weight) * 5 - 0.5))
    return f"{'up' if weight > 0 else 'down'}{strength}" if strength else ""


def stance(weight: float) -> str:
    """What evidence says of a tag whose log odds it moves by this, in words; "" where nobody would notice."""
    strength = abs(weight)
    if strength < NOTICED:
        return ""
    side = "for it" if weight > 0 else "against it"
    return f"{'a little' if strength < PLAINLY else 'speaks' if strength < STRONGLY else 'strongly'} {side}"
