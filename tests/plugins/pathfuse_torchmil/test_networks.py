"""Our components against torchmil's own models with the same weights."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pathfuse_torchmil.abmil import ABMIL
from pathfuse_torchmil.clam import CLAM, SmoothMargin
from pathfuse_torchmil.dsmil import DSMIL
from pathfuse_torchmil.dtfd import DTFDMIL
from pathfuse_torchmil.transmil import TransMIL
from tests.golden.vectors import golden
from tests.plugins.pathfuse_torchmil.small import batch_of, fusion_of, token_of

models = pytest.importorskip("torchmil.models", reason="needs pathfuse[torchmil]")


def theirs(made, network, **layers):
    """torchmil's model with the weights of our network, and what is ours alone replaced."""
    made = made.double()
    for name, layer in layers.items():
        setattr(made, name, layer)
    known = made.state_dict()
    ours = network.state_dict()
    weights = {name: value for name, value in ours.items() if name in known and known[name].shape == value.shape}
    assert weights
    made.load_state_dict({**known, **weights})
    return made


@pytest.mark.parametrize("gated", [False, True])
def test_abmil_scored_by_torchmil_s_classifier_equals_torchmil(gated):
    fusion, token = fusion_of(ABMIL, gated=gated, hidden=4), token_of([5])
    model = models.ABMIL((6,), att_dim=4, gated=gated).double()
    model.pool.load_state_dict(fusion.networks["he"].state_dict())
    fused = fusion({"he": token})
    logit, score = model(token.values[None], return_att=True)
    assert_close(model.classifier(fused.embedding)[:, 0], logit)
    assert_close(fused.attention["he"], score[0].softmax(0))


def test_clam_equals_torchmil_and_so_does_its_loss_of_two_classes():
    fusion, token = fusion_of(CLAM, classes=2, k=2, hidden=4), token_of([7, 3])
    network = fusion.networks["he"]
    model = theirs(models.CLAM_SB((6,), att_dim=4, gated=True, k_sample=2), network, inst_loss_fn=SmoothMargin())
    for index, own in enumerate(network.inst_classifiers):
        model.inst_classifiers[index].module.load_state_dict(own.state_dict())
    fused = fusion({"he": token})
    expected = 0.0
    for row, (bag, label) in enumerate(zip(token.values.split([7, 3]), (1, 0), strict=True)):
        logit, score = model(bag[None], return_att=True)
        assert_close(model.classifier(fused.embedding[row : row + 1])[:, 0], logit)
        expected += model.compute_inst_loss(score, bag[None], torch.tensor([label]))
    # torchmil adds two classifiers and two cases, here it is the mean over both.
    assert_close(fusion.loss(fused, batch_of([1, 0]))["instance"], (expected / 4).double())


def test_clam_s_loss_of_three_classes_equals_a_loop():
    fusion, token = fusion_of(CLAM, k=2, hidden=4, instance_loss="cross_entropy"), token_of([7, 3, 4])
    network = fusion.networks["he"]
    fused = fusion({"he": token})
    losses = []
    for bag, label in zip(token.values.split([7, 3, 4]), (1, 2, -1), strict=True):
        order = network.pool(bag[None], return_att=True)[1][0].argsort(descending=True)
        for index, classify in enumerate(network.inst_classifiers if label >= 0 else ()):
            rows, wanted = (order[[0, 1, -1, -2]], [1, 1, 0, 0]) if index == label else (order[:2], [0, 0])
            chosen = classify(bag[rows]).log_softmax(1)
            losses.append(-chosen[torch.arange(len(wanted)), wanted].mean())
    got = fusion.loss(fused, batch_of([1, 2, -1]))["instance"]
    assert_close(got, torch.stack(losses).mean(), atol=1e-6, rtol=0)


def test_the_smooth_margin_worked_by_hand():
    logits = torch.tensor([[2.0, 0.5], [0.0, 1.0]], dtype=torch.float64)
    expected = (np.log(1 + np.exp(0.5 - 2.0 + 1)) + np.log(1 + np.exp(1.0 - 0.0 + 1))) / 2
    assert_close(SmoothMargin()(logits, torch.tensor([[0.0], [0.0]])).item(), expected)


def test_every_class_of_dsmil_is_a_binary_dsmil_of_torchmil():
    fusion, token = fusion_of(DSMIL, hidden=4, nonlinear_value=True), token_of([9])
    network = fusion.networks["he"]
    fused = fusion({"he": token})
    by_class = fused.embedding.view(3, 6)
    highest = []
    for index in range(3):
        instance = nn.Linear(6, 1).double()
        model = theirs(models.DSMIL((6,), 4, True, True), network, inst_classifier=instance)
        with torch.no_grad():
            instance.weight.copy_(network.inst_classifier.weight[index : index + 1])
            instance.bias.copy_(network.inst_classifier.bias[index : index + 1])
        logit, score = model(token.values[None], return_inst_pred=True)
        assert_close(model.bag_classifier(by_class[index : index + 1])[:, 0], logit)
        highest.append(score.max())
    term = fusion.loss(fused, batch_of([2]))["critical"]
    assert_close(term, nn.functional.cross_entropy(torch.stack(highest)[None], torch.tensor([2])))


def test_dtfd_equals_torchmil_where_both_split_alike(monkeypatch):
    fusion, token = fusion_of(DTFDMIL, groups=3, hidden=4), token_of([11])
    network = fusion.networks["he"]
    network.classifier = nn.Linear(6, 1).double()
    model = models.DTFDMIL((6,), 4, 3, "afs").double()
    known = model.state_dict()
    own = {name.replace("classifier.", "classifier.module."): value for name, value in network.state_dict().items()}
    model.load_state_dict({**known, **own})
    monkeypatch.setattr("numpy.random.shuffle", lambda rows: None)
    parts = [torch.tensor(rows) for rows in np.array_split(np.arange(11), 3)]
    made = fusion.pool_parts(network, token.values, parts)
    logit, pseudo = model(token.values[None], return_pseudo_pred=True)
    assert_close(model.u_classifier(made.embedding[None])[:, 0], logit)
    assert_close(made.extra[:, 0], pseudo[0])
    # The weights are those of the patches in the twice pooled vector.
    assert_close(made.attention @ token.values, made.embedding)


@pytest.mark.parametrize("distil", ["max", "maxmin"])
def test_dtfd_hands_on_the_patches_that_speak_most_for_the_predicted_class(distil):
    fusion, token = fusion_of(DTFDMIL, groups=2, hidden=4, distil=distil), token_of([8])
    network, bag = fusion.networks["he"], token.values
    made = fusion.eval().pool_bag(network, bag)
    picks = []
    for rows, logits in zip([torch.arange(0, 8, 2), torch.arange(1, 8, 2)], made.extra, strict=True):
        activation = bag[rows] @ network.classifier.weight[logits.argmax()]
        picks += [int(rows[activation.argmax()]), int(rows[activation.argmin()])][: 1 if distil == "max" else 2]
    assert_close(network.u_attention_pool(bag[picks][None])[0], made.embedding)
    assert set(made.attention.nonzero().flatten().tolist()) == set(picks)


def test_pseudo_bags_count_as_one_case_however_many_they_are():
    fusion, token = fusion_of(DTFDMIL, groups=4, hidden=4).eval(), token_of([8, 2, 5])
    fused = fusion({"he": token})
    losses = []
    for bag, label in zip(token.values.split([8, 2, 5]), (0, 2, -1), strict=True):
        logits = fusion.pool_bag(fusion.networks["he"], bag).extra
        if label >= 0:
            losses.append(nn.functional.cross_entropy(logits, torch.full((len(logits),), label)))
    assert_close(fusion.loss(fused, batch_of([0, 2, -1]))["pseudo_bags"], torch.stack(losses).mean())


def test_bags_are_split_anew_in_training_and_alike_in_evaluation():
    fusion = fusion_of(DTFDMIL, groups=3)
    drawn = [torch.cat(fusion.train().split(50, torch.device("cpu"))) for _ in range(2)]
    assert not drawn[0].equal(drawn[1]) and drawn[0].sort().values.equal(torch.arange(50))
    fixed = fusion.eval().split(7, torch.device("cpu"))
    assert [rows.tolist() for rows in fixed] == [[0, 3, 6], [1, 4], [2, 5]]
    assert len(fusion.split(2, torch.device("cpu"))) == 2


@pytest.mark.parametrize("patches", [1, 2, 9, 13])
def test_transmil_equals_torchmil_and_so_does_the_class_token_s_attention(patches):
    fusion, token = fusion_of(TransMIL, dim=8, heads=2, landmarks=4).eval(), token_of([patches])
    model = theirs(models.TransMIL((6,), 8, 2, 2, 4), fusion.networks["he"])
    fused = fusion({"he": token})
    logit, attention = model(token.values[None], return_att=True)
    assert_close(model.classifier(fused.embedding)[:, 0], logit)
    row = attention[0].detach().clamp(min=0)
    assert_close(fused.attention["he"], row / row.sum())


def test_torchmil_s_nystrom_attention_equals_ours_without_its_convolution():
    from torchmil.nn import NystromAttention

    vectors = golden("nystrom")
    heads, marks = vectors["n16/attn2"].shape[:2]
    weight, bias = (torch.tensor(vectors[f"param/to_out.0.{part}"]) for part in ("weight", "bias"))
    dim = weight.shape[0]
    attention = NystromAttention(dim, dim, dim, heads, n_landmarks=marks).double()
    attention.qkv_nn.load_state_dict({"weight": torch.tensor(vectors["param/to_qkv.weight"])})
    for n in (19, 16, 5):
        out = attention(torch.tensor(vectors[f"n{n}/x"])[None])[0] @ weight.T + bias
        assert_close(out, torch.tensor(vectors[f"n{n}/out_no_value_conv"]), atol=1e-9, rtol=1e-9)
