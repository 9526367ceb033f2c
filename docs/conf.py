"""How `make docs` builds the manual (Sphinx with MyST): `docs/*.md` to `build/docs`, every warning an error."""

project = "spectral-ssl"
author = "the authors of spectral-ssl"
extensions = ["myst_parser"]
myst_heading_anchors = 4  # links to headings, by the same names as on a forge
highlight_language = "none"  # of indented blocks: commands and formulas; fenced ones name theirs
html_theme = "furo"
html_title = "spectral-ssl"
html_show_sphinx = False
html_copy_source = False
suppress_warnings = ["toc.empty_glob"]
