"""How chapters become pages: parameters in, executed notebooks, figures with their cards, a site.

`chapter` reads a page and checks what is asked of it, `execution.execute` runs it, `figures.show`
publishes a figure with its data and its `cards`; `gallery`, `site` and `release` make of them what
readers get, with the markup in `templates/`; `identity`, `citations`, `metadata` say by whom, and
how to cite it; and `compare` sets a rerun beside the published runs.
"""
