"""Model collapse, reproduced: the machinery behind the chapters of the book.

One folder is one room; `CONTRIBUTING.md` has the picture of them and says which may import which.
"""

__version__ = "0.1.0"
