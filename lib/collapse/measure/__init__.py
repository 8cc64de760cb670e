"""Numbers from arrays, without a model and without PyTorch.

`facts.Facts` is what a record keeps of one generation, `gauges.GAUGES` is what is read off it,
`metrics` holds the measures themselves, `per_seed` makes a mean and an interval of one number a
seed, and `verdicts` turns intervals into the words that pages print.
"""
