"""Configuration of the documentation site, see `make docs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from walking_noise.version import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "walking_noise"
author = "The walking_noise authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"walking_noise {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
smartquotes = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_rtype = False

nitpicky = True
nitpick_ignore_regex = [
    # Other libraries: their sites are not read, so that the build needs no network.
    (r"py:.*", r"(nn|torch|pandas|pd|np|numpy|pydantic|pathlib|collections|os|typing)\..*"),
    (r"py:.*", r"(Path|Tensor|DataFrame|Sequence|Iterable|Iterator|Callable|Mapping|Any|Self|Literal|optional)"),
    (r"py:.*", r"(str|int|float|bool|list|dict|tuple|object|None|ValueError|NoneType|callable)"),
    # Shapes such as (levels, samples), which stand where the type stands.
    (r"py:class", r"(levels|samples)"),
    # Parts behind the public names, which the reference leaves out.
    (r"py:.*", r"(walking_noise|analysis|experiments)\..*"),
    (r"py:.*", r"(PART|STATE_NAMES|Transform)"),
]

linkcheck_timeout = 20
linkcheck_anchors = False  # pages of repositories make theirs with scripts


def setup(app: Sphinx) -> None:
    """Keep napoleon from reading the first words of a property's docstring as its type."""

    def without_colon(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
        if what == "property" and lines:
            lines[0] = lines[0].replace(": ", "; ", 1)

    app.connect("autodoc-process-docstring", without_colon, priority=100)
