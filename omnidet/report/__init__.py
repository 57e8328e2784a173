"""Everything about a run in one HTML file.

    numbers, protocols, analyses, training log, pictures, tables --page.write--> report.html, drawn by `page.html.jinja`

`charts.py` turns numbers into lines, `pictures.py` images and boxes into figures. To add a section, give `page.write` what
it shows, and the template the place.
"""
