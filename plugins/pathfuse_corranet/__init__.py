"""Corr-A-Net's first stage: a representation of H&E that is correlated with IHC, learned from pairs.

Source: Dutta et al. 2025, medRxiv 2025.04.22.25326227; Chandar et al. 2016, arXiv:1504.07225.
"""
