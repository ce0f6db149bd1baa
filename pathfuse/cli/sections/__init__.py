"""Commands about slides of sections: register them, cut pairs, measure stain."""
