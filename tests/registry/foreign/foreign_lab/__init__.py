"""A laboratory's own formats and rules, as a third party would publish them."""
