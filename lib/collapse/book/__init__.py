"""How a chapter becomes pages: read, checked, executed, drawn, built, released.

`chapter` reads a chapter and checks what is asked of it, with `parameters` and `guide`; `execution`
executes it and `notebook` makes the outcome fit to publish. `figures` draws, `cards` says what a
figure shows and how to cite it, `gallery` gives each a page. `site` builds the pages in the
`folders` of a build, `release` packs them, `compare` sets a rerun beside the published runs.
"""
