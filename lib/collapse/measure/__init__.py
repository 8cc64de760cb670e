"""Numbers from arrays: the gauges of a generation, a number a seed with its interval, and verdicts.

Start with `gauges` (all that is read off a generation), `per_seed.PerSeed`, `verdicts.judge`.
"""
