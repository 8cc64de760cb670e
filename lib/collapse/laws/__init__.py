"""Closed forms of learning from one's own samples, each beside a simulator that obeys it.

`drift` is of counts, of Gaussians and of their means, `regression` of ridge and least squares,
`gaussian_mixture` of the paper's three errors. `autoencoder` has no law: it is trained.
"""
