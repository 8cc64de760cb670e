"""How fast the loop is: against the usual ways of doing the same, and against the machine.

`contestants` is who is compared, `measurement.measure` has all take turns and says what the machine
allows and a token needs, and `measured` reads the file that comes of it, without PyTorch, for the
page and the command line.
"""
