"""One image per case and stain: what is looked at, how it is encoded, and the plain ways to join stains."""
