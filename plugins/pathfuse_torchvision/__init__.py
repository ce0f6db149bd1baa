"""Networks of torchvision as backbones."""
