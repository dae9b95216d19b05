"""Sphinx's settings for the web edition; the command line gives the language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from course.site import dressing

__all__ = ["setup"]

_HERE = Path(__file__).parent

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]

exclude_patterns = ["**/downloads", "downloads"]
# Nothing is executed: the lessons show what is stored in them.
nb_execution_mode = "off"
# Sliders are stored as the figure that they first show, so no script of theirs is needed.
nb_ipywidgets_js: dict[str, Any] = {}
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_dmath_double_inline = True
myst_heading_anchors = 3
# Guessed from their neighbours, quotes go wrong beside emphasis: "d'*une*".
smartquotes = False

# One meaning of a docstring's words: the code's own.
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Source", "params_style"), "Sources"]

html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = [str(_HERE / "static")]
templates_path = [str(_HERE / "templates")]
html_css_files = ["course.css", "print.css"]
html_js_files = [("course.js", {"defer": "defer"})]
html_favicon = str(_HERE / "static" / "favicon.svg")
html_search_scorer = str(_HERE / "scorer.js")
# A page opened from a file may not fetch those that a search finds: static/search.js quotes them.
html_show_search_summary = False
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005a8f", "color-brand-content": "#005a8f"},
    "dark_css_variables": {"color-brand-primary": "#6fbdf0", "color-brand-content": "#6fbdf0"},
}

# Pages are looked for, and not the places in them: a script may make those.
linkcheck_anchors = False
linkcheck_retries = 3
linkcheck_timeout = 20  # seconds
linkcheck_rate_limit_timeout = 60  # seconds
linkcheck_allow_unauthorized = True
user_agent = "Mozilla/5.0 (link check)"


def setup(app: Sphinx) -> dict[str, Any]:
    """Add what is the course's own: formulas, descriptions of figures, the way to the languages."""
    return dressing.setup(app)
