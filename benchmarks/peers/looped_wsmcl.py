"""WSMCL written down as its equations stand, to be timed against: the peer of `bench_bags` (b).

Full attention matrices with the product A1 z formed, a convolution layer for the values, the contrast as a loop over
the k positives. Parameters are those of our model, by our names, so both compute the same loss; the golden vectors of
`wsmcl_forward` check it.
"""

import torch
from torch.nn import functional as F


def loss_of(model, bags, target, k, *, full_score=False):
    """The summed loss terms of one case, and the scores of its patches, through the parameters of our `Model`."""
    scores, tokens, logits, rows = {}, {}, {}, {}
    for stain, bag in bags.items():
        layer, norm = model.encoder.layers[stain], model.encoder.norms[stain]
        values = F.gelu(layer.linear(bag))
        added, scores[stain] = nystrom(layer.attention, layer.norm(values), full_score)
        values = norm(values + added)
        order = scores[stain].detach().argsort(descending=True, stable=True)
        rows[stain] = torch.cat([values[order[:k]], values[order[-k:]]])
        tokens[stain] = values.mean(0, keepdim=True)
        logits[stain] = model.head.stains[stain](tokens[stain])
    he, ihc = tokens.values()
    tail = model.fusion.fusion
    side = tail.side_by_side(torch.cat([he, ihc], 1))
    joint = model.head.joint(F.gelu(tail.mix(torch.cat([he + ihc, he * ihc, side], 1))))
    contrast = looped_contrast(*rows.values(), k, model.fusion.logit_scale.exp())
    kl = F.kl_div(logits["he"].log_softmax(1), logits["ihc"].softmax(1), reduction="batchmean")
    return F.cross_entropy(joint, target) + F.cross_entropy(logits["ihc"], target) + contrast + kl, scores


def nystrom(attention, x, full_score=False):
    """Nystrom attention of one case with every matrix formed; `full_score` forms A1 z A3 (heads, N, N) as well."""
    n = len(x)
    heads, m = attention.heads, attention.landmarks
    x = F.pad(x, (0, 0, -n % m, 0))
    q, k, v = (part.view(len(x), heads, -1).transpose(0, 1) for part in attention.to_qkv(x).chunk(3, -1))
    q = q * q.shape[-1] ** -0.5
    q_l, k_l = (part.reshape(heads, m, -1, part.shape[-1]).mean(2) for part in (q, k))
    a1, a2, a3 = ((one @ two.mT).softmax(-1) for one, two in ((q, k_l), (q_l, k_l), (q_l, k)))
    a1z = a1 @ inverse(a2, attention.inverse_steps)
    out = a1z @ (a3 @ v)
    if attention.value_conv is not None:
        out = out + attention.value_conv(v[None])[0]
    with torch.no_grad():
        # The mean over rows before the product with A3 spares the peer a matrix of patches by patches.
        received = (a1z @ a3)[:, -n:].mean(1) if full_score else (a1z[:, -n:].mean(1, keepdim=True) @ a3)[:, 0]
    return attention.to_out(out.transpose(0, 1).flatten(1))[-n:], received.mean(0)[-n:]


def inverse(a, steps):
    eye = torch.eye(a.shape[-1], dtype=a.dtype)
    z = a.mT / (a.abs().sum(-1).max() * a.abs().sum(-2).max())
    for _ in range(steps):
        az = a @ z
        z = 0.25 * z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az)))
    return z


def looped_contrast(he, ihc, k, scale):
    """Step i contrasts the i-th patch of a group with all positives' rows: a cross-entropy per step and direction."""
    he, ihc = F.normalize(he, dim=1), F.normalize(ihc, dim=1)
    label = torch.zeros(k, dtype=torch.long)
    total = 0
    for one, two in ((he, ihc), (ihc, he)):
        top, bottom = one[:k], one[k:]
        against_bottom, against_top = scale * top @ two[k:].T, scale * bottom @ two[:k].T  # (k, k)
        for i in range(k):
            positive = scale * top @ two[i : i + 1].T  # (k, 1)
            total = total + F.cross_entropy(torch.cat([positive, against_bottom], 1), label)
            positive = scale * bottom @ two[k + i : k + i + 1].T
            total = total + F.cross_entropy(torch.cat([positive, against_top], 1), label)
    return total / (4 * k)
