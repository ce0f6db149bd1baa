import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pathfuse.core import Prediction, weighted_total
from pathfuse.errors import RecipeError
from pathfuse_corranet.figures import grey
from pathfuse_corranet.objective import CorrelationObjective, ReleasedObjective
from pathfuse_corranet.ssim import ssim_map
from tests.plugins.pathfuse_corranet.cases import PAIR, THREE, batch_of, model_of


def terms_of(model, batch, **options):
    return CorrelationObjective(**options).losses(model, batch).terms


def error(view, target, beta=0.84):
    return beta * (1 - ssim_map(view, target).mean()) + (1 - beta) * (view - target).abs().mean()


def test_the_terms_are_three_passes_by_hand():
    model, batch = model_of().eval(), batch_of()
    views = {
        m: model(batch.keep(*kept)).reconstructions for m, kept in [("joint", PAIR), ("he", ["he"]), ("ihc", ["ihc"])]
    }
    outcome = CorrelationObjective().losses(model, batch)
    for term, start in [("joint", "joint"), ("from_he", "he"), ("from_ihc", "ihc")]:
        expected = (error(views[start]["he"], batch.x["he"]) + error(views[start]["ihc"], batch.x["ihc"])) / 2
        assert_close(outcome.terms[term], expected)
    assert_close(outcome.metrics["cross_he_to_ihc"], error(views["he"]["ihc"], batch.x["ihc"]).detach())
    assert_close(outcome.terms["correlation"], -outcome.metrics["correlation"])


@pytest.mark.parametrize("share_rows", [True, False])
def test_a_case_without_ihc_counts_only_where_it_has_something_to_compare(share_rows):
    model = model_of().eval()
    batch = batch_of(ihc=(0, 1))
    alone, both = batch.select(torch.tensor([0, 1])), batch.select(torch.tensor([2, 3]))
    got = terms_of(model, batch, share_rows=share_rows)
    he_only, pairs = CorrelationObjective().losses(model, alone), CorrelationObjective().losses(model, both)
    # Joint and from_he: two H&E comparisons of the lone cases, four comparisons of the pairs.
    for term in ("joint", "from_he"):
        assert_close(got[term], (2 * he_only.terms[term] + 4 * pairs.terms[term]) / 6)
    assert_close(got["from_ihc"], pairs.terms["from_ihc"])
    assert_close(got["correlation"], pairs.terms["correlation"])
    assert "self_ihc" not in he_only.metrics and "mean_correlation" not in he_only.metrics


def test_a_batch_without_ihc_trains_on_what_it_has():
    model, batch = model_of().train(), batch_of(ihc=(0, 1, 2, 3))
    terms = terms_of(model, batch)
    assert terms["from_ihc"] == 0 and terms["correlation"] == 0
    weighted_total(terms, dict.fromkeys(terms, 1.0)).backward()
    assert model.encoder.branches["he"].convs[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        (["joint"], {"joint", "correlation"}),
        (["self"], {"from_he", "from_ihc", "correlation"}),
        (["joint", "cross"], {"joint", "from_he", "from_ihc", "correlation"}),
    ],
)
def test_a_selection_of_terms_is_what_is_asked_for(terms, names):
    got = terms_of(model_of(), batch_of(), terms=terms)
    assert set(got) == names


def test_self_and_cross_average_to_the_whole():
    model, batch = model_of().eval(), batch_of()
    parts = [terms_of(model, batch, terms=[part])["from_he"] for part in ("self", "cross")]
    assert_close(sum(parts) / 2, terms_of(model, batch)["from_he"])


def test_three_stains_have_three_passes_and_the_mean_over_pairs():
    model, batch = model_of(THREE).eval(), batch_of(THREE)
    outcome = CorrelationObjective(correlation="channel").losses(model, batch)
    assert set(outcome.terms) == {"joint", "from_he", "from_her2", "from_ki67", "correlation"}
    maps = model.fuse(batch).by_modality
    pearson = [
        np.corrcoef(maps[a][i, :, r, c].detach(), maps[b][i, :, r, c].detach())[0, 1]
        for a, b in [("he", "her2"), ("he", "ki67"), ("her2", "ki67")]
        for i in range(4)
        for r in range(16)
        for c in range(16)
    ]
    assert_close(outcome.metrics["correlation"].item(), float(np.nan_to_num(pearson).mean()))


def test_the_mean_correlation_is_pearson_of_the_mean_map_and_the_grey_ihc():
    model, batch = model_of().eval(), batch_of(ihc=(2,))
    got = CorrelationObjective().losses(model, batch).metrics
    for key, shown in [("mean_correlation", batch), ("mean_correlation_from_he", batch.keep("he"))]:
        maps = model.fuse(shown).embedding.mean(1).detach().numpy()
        target = grey(batch.x["ihc"])[:, 0].numpy()
        expected = np.mean([np.corrcoef(maps[i].ravel(), target[i].ravel())[0, 1] for i in (0, 1, 3)])
        assert got[key].item() == pytest.approx(expected, abs=1e-6)


def test_the_mean_correlation_of_the_reconstruction_compares_it_with_its_target():
    model, batch = model_of().eval(), batch_of()
    got = CorrelationObjective(mean_correlation="reconstruction").losses(model, batch).metrics["mean_correlation"]
    view = model(batch).reconstructions["ihc"].detach()
    expected = np.mean([np.corrcoef(view[i].ravel(), batch.x["ihc"][i].ravel())[0, 1] for i in range(4)])
    assert got.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("objective", [CorrelationObjective, ReleasedObjective])
@pytest.mark.parametrize("decoders", ["per_view", "shared"])
def test_gradients_reach_every_parameter(objective, decoders):
    # In training mode batch norm takes away what a bias before it does, so look in eval mode, with fitting statistics.
    model = model_of(encoder={"dim": 16}, fusion={"reduction": 2}, head={"decoders": decoders}).train()
    for _ in range(40):
        model(batch_of())
    terms = objective().losses(model.eval(), batch_of()).terms
    weighted_total(terms, dict.fromkeys(terms, 1.0)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("objective", [CorrelationObjective, ReleasedObjective])
def test_blank_images_train_without_nan(objective, value):
    model, batch = model_of(dtype=torch.float32).train(), batch_of(dtype=torch.float32)
    batch.x["he"].fill_(value)
    batch.x["ihc"].fill_(value)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(3):
        terms = objective().losses(model, batch).terms
        optimiser.zero_grad()
        weighted_total(terms, dict.fromkeys(terms, 1.0)).backward()
        optimiser.step()
        assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_training_lowers_the_loss():
    model, batch = model_of(dtype=torch.float32).train(), batch_of(dtype=torch.float32)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    history = []
    for _ in range(30):
        terms = CorrelationObjective().losses(model, batch).terms
        total = weighted_total(terms, dict.fromkeys(terms, 1.0) | {"correlation": 1.5})
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        history.append(total.item())
    assert history[-1] < 0.75 * history[0]


class FreeViews(nn.Module):
    """A head whose views are the parameters themselves: what an objective asks for, without a network in between."""

    def __init__(self, batch, shared):
        super().__init__()
        start = torch.full_like(batch.x["he"], 0.5)
        self.shared = shared
        self.views = nn.ParameterDict({m: nn.Parameter(start.clone()) for m in (["he"] if shared else PAIR)})

    def forward(self, fused):
        views = {m: self.views["he" if self.shared else m] for m in PAIR}
        repeats = fused.embedding.shape[0] // len(views["he"])
        return Prediction(fused.present, reconstructions={m: v.repeat(repeats, 1, 1, 1) for m, v in views.items()})


def optimum(objective, batch, *, shared):
    model = model_of()
    model.head = FreeViews(batch, shared)
    optimiser = torch.optim.Adam(model.head.parameters(), 0.04)
    for step in range(120):
        optimiser.param_groups[0]["lr"] = 0.04 * (1 - step / 120)
        terms = objective.losses(model, batch).terms
        optimiser.zero_grad()
        sum(term for name, term in terms.items() if name != "correlation").backward()
        optimiser.step()
    return {m: model.head.views["he" if shared else m].detach() for m in PAIR}


def test_the_released_objective_is_best_at_the_darker_stain_and_the_paper_recovers_both():
    batch = batch_of(rows=1, size=11)
    he, ihc = batch.x["he"], batch.x["ihc"]
    released = optimum(ReleasedObjective(), batch, shared=True)
    assert (released["he"] - torch.minimum(he, ihc)).abs().mean() < 0.02
    paper = optimum(CorrelationObjective(beta=0.0, share_rows=False), batch, shared=False)
    assert (paper["he"] - he).abs().mean() < 0.02
    assert (paper["ihc"] - ihc).abs().mean() < 0.02


def test_the_released_objective_pulls_to_zero_where_ihc_is_blanked():
    batch = batch_of(rows=1, size=11, ihc=(0,))
    released = optimum(ReleasedObjective(), batch, shared=True)
    assert released["he"].abs().mean() < 0.02
    terms = ReleasedObjective(absent="skip").losses(model_of(), batch).terms
    assert terms["correlation"] == 0


def test_an_unknown_term_and_a_beta_out_of_range_are_refused():
    with pytest.raises(RecipeError, match="not a selection of joint, self and cross"):
        CorrelationObjective(terms=["joint", "selff"])
    with pytest.raises(RecipeError, match="not between 0 and 1"):
        CorrelationObjective(beta=1.2)
