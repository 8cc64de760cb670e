"""How the book's own small base models were made, and how to make them again.

`literature` gathers what they read, `pretrain` makes them. A run reads them from `records/bases/`,
so nothing of the experiment imports this room.
"""
