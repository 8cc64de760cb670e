"""The book's own base models, which `records/bases/` holds: `pretrain.make` makes one again.

`pretrain.RECIPES` says how each is made, `literature` is the human text that they have read.
"""
