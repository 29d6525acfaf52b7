"""Golden listings: texts that a test expects word by word."""
