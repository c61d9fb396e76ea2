"""One module for each table: `tables(material)` gives as many of its kind as there is something to show for."""
