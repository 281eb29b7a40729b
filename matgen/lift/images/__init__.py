"""Images as rows of a table: the image tables of LIFT's paper, written so that a language model reads them well."""
