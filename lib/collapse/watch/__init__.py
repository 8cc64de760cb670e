"""Has a text changed as text does in a collapse? Two sets of text, no model, a rate that is kept.

`watch(reference, new)` compares any two and gives a `Report`. `texts` reads documents, `batches`
measures stretches of equal length, `judgement` decides, `report` tells, `scores` judges a model by
what it makes of held-out text. The command is in `cli.watch`.
"""

from collapse.watch.judgement import TooLittleText, watch
from collapse.watch.report import Judged, Report
from collapse.watch.texts import WatchError

__all__ = ["Judged", "Report", "TooLittleText", "WatchError", "watch"]
