"""Every image network of timm as a backbone."""
