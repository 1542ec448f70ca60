"""Why calls fail, or that they should not: `python -m bridge doctor`. See README.md."""
