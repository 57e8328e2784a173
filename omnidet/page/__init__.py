"""A page for trying words on pictures: one HTML file, and the routes that it asks.

`omnidet demo` serves it on this machine, `omnidet serve --page` beside the other routes.
"""
