"""Closed forms of learning from one's own samples, and simulators that obey them.

`drift` is of counts, words and Gaussians, `regression` of ridge regression on its own labels,
`exposure` of what the web and a training mixture hold, `prevalence` of what an instrument that
errs says; `gaussian_mixture` is one of the paper's small experiments. Nothing here knows the
language models.
"""
