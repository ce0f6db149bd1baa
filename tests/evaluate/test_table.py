from math import nan

from rich.console import Console

from pathfuse.evaluate.table import summary

METRICS = {
    "he": {
        "test/balanced_accuracy": 0.512,
        "test/balanced_accuracy_low": 0.41,
        "test/balanced_accuracy_high": 0.634,
        "test/auroc": nan,
        "test/auprc": None,
        "test/mec": 0.31,
        "test/mec_constant": 0.02,
        "test/confidence_auroc": 0.61,
        "test/ece": 0.123,
        "test/abstained": 0.25,
        "test/set_size": 1.75,
        "test/confidence_high/n": 7.0,
        "test/confidence_high/accuracy": 0.857,
        "n_cases": 40,
        "n_patients": 12,
    },
    "he+ihc": {"test/balanced_accuracy": 0.9, "n_cases": 40, "n_patients": 12},
}


def text(width=80):
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(summary(METRICS))
    return capture.get()


def rows(name):
    return [line.split() for line in text().splitlines() if line.strip().startswith(f"{name} ")]


def test_every_subset_has_a_row_with_cases_patients_and_interval():
    assert rows("he")[0][:4] == ["he", "40", "(12)", "0.512"]
    assert "0.41-0.63" in text()
    assert rows("he+ihc")[0][:4] == ["he+ihc", "40", "(12)", "0.900"]


def test_mean_effective_confidence_stands_beside_its_constant_baseline():
    assert rows("he")[1][:4] == ["he", "0.310", "0.020", "0.610"]


def test_what_was_not_calibrated_is_a_dash():
    assert rows("he")[2] == ["he", "0.123", "-", "-", "-", "0.250", "-", "-", "1.750"]
    assert rows("he+ihc")[2] == ["he+ihc", *"--------"]


def test_undefined_values_are_dashes():
    assert "nan" not in text() and "None" not in text()
    assert rows("he")[0][4:6] == ["-", "-"]


def test_strata_show_size_and_accuracy():
    assert rows("he")[1][4:] == ["0.9", "and", "above", "7", "0.857", "-"]


def test_headings_are_whole_words_in_eighty_columns():
    for word in ("Balanced", "AUC-ROC", "precision", "kappa", "(patients)", "Confidence", "Accuracy", "Abstains"):
        assert word in text()
