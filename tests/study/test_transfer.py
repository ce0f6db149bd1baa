"""The study of embedders, on features where the commands of its page write them."""

from pathlib import Path

import pytest

from pathfuse.cli import main
from tests.store.foreign import features, grid, trident

FEATURES = {"imagenet": "AlexNet", "pcam": "pcam", "imagenet_pcam": "imagenet_pcam", "ihc": "ihc_patches"}


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for embedder in FEATURES.values():
        for number in range(40):
            file = tmp_path / f"features/20x_224px_0px_overlap/features_{embedder}/s{number}.h5"
            trident(file, features(3, 8, number), grid(3))
    rows = [f"s{number},s{number},{('0', '1+', '2+', '3+')[number % 4]}" for number in range(40)]
    (tmp_path / "labels.csv").write_text("\n".join(["case_id,slide_id,label", *rows]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_embedder_has_its_features_and_all_share_the_scores(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "transfer_mil", "--cohort.cases", "labels.csv", "--dry-run"]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "demo" not in said and "20 runs; nothing was done" in said
    for variant, embedder in FEATURES.items():
        layer = "imagenet" if embedder == "AlexNet" else embedder
        assert f"\n{variant}: attention_mil; layers {layer};" in f"\n{said}"
    (there / "features/20x_224px_0px_overlap/features_pcam").rename(there / "elsewhere")
    assert main(line) == 2
    assert "variant pcam: " in capsys.readouterr().err
    assert main([*line, "--pcam.cohort.stores", "{he: elsewhere}"]) == 0


def test_without_scores_it_asks_for_them_and_the_demo_is_a_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "transfer_mil", "--dry-run"]) == 2
    assert "name their table with cohort.cases" in capsys.readouterr().err
    assert main(["study", "transfer_mil", "--layer", "demo", "--cohort.demo.patients=16", "--dry-run"]) == 0
    assert "8 runs; nothing was done" in capsys.readouterr().out
