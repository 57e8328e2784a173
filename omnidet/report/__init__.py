"""Everything about a run in one HTML file.

    Report (numbers, protocols, sections, training log, tables) --page.write--> report.html

`sections.py` makes the sections from an evaluation, `charts.py` turns numbers into lines and
`pictures.py` images and boxes into figures; `page.html.jinja` draws them. To add to the page, give
`Report` a field with what it shows, and the template the place.
"""
