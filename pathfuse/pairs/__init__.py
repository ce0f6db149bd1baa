"""Patch pairs from registered slides, each with the error it was made with."""
