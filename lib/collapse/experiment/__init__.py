"""The experiment, all of it: what is asked, what is computed, what is left behind.

`protocol.Protocol` describes a run, `loop.run` computes it and `record.Record` is what remains;
`records` has it on disk. Around them: texts and models (`corpus`, `sources`, `models`), what a
generation is trained on (`training_text`), what it does (`training`; `decoding` with its
`kv_cache`; `scoring`; all three over the model as `network` lays it out), what is kept of it
(`observation`), and finished generations in the cache (`generations`).
"""
