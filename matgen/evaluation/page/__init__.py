"""How a report is shown: HTML with SVG figures, Markdown, the terminal, and one formula explained."""
