"""Networks from the files of other tools, one package per format."""
