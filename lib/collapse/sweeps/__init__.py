"""Many runs: what they take, where they are computed, and how they travel.

`plan` says before the spend what runs take and whether they fit, `sweep.sweep` computes them here
or on a Dask cluster, `progress` tells how far they are. `carry` and `pack` are for machines that
are lent for a while or have no network.
"""
