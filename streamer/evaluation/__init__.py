"""How good the product is on data of a user's own: pairs of faces, people, pictures with a truth, videos with one.

Each kind has a module of arithmetic over arrays, which knows no file, and one that reads the data and runs the nets.
"""
