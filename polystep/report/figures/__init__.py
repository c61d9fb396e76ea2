"""One module for each figure: `charts(material)` gives as many of its kind as there is something to draw."""
