"""What the try-it page and the deployer's page share: colours, cards, tables, buttons; the icon; small means to build.

Files only, in static/. Each page's server serves them under /page/, beside the page's own.
"""
