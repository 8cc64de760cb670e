"""Model collapse, reproduced: the machinery behind the chapters of the book."""

__version__ = "0.1.0"
