"""Toolkit for plug-ins: packed bags, joining tokens, fast products, options, notes on weights."""
