"""Help: eighty columns, examples, one screen; completion; hints for what options are called elsewhere."""

from __future__ import annotations

import shlex

import pytest

from pathfuse.cli import main
from pathfuse.cli.help.completion import following
from pathfuse.cli.help.examples import EXAMPLES
from pathfuse.cli.help.lines import WIDTH, shortened
from pathfuse.cli.text import COMMANDS
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError
from pathfuse.recipes.compose import STAGE_KEYS
from pathfuse.recipes.usual import USUAL

Says = pytest.CaptureFixture[str]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_eighty_columns_and_examples_of_that_command(name: str, capsys: Says) -> None:
    assert main([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert all(len(line) <= WIDTH for line in said.splitlines())
    assert said.startswith("usage: pathfuse ") and "Examples:" in said
    assert EXAMPLES[name] and all(shlex.split(example)[:2] == ["pathfuse", name] for example in EXAMPLES[name])


@pytest.mark.parametrize("words", ["--help", "plugins show PairedPatches", "plugins show uni2_h"])
def test_the_overview_and_what_is_said_of_a_component_have_eighty_columns(words: str, capsys: Says) -> None:
    assert main(words.split()) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) > 10 and max(map(len, said)) <= WIDTH


def test_the_options_of_an_example_are_those_of_its_command() -> None:
    from pathfuse.cli.text import details_of

    for name, examples in EXAMPLES.items():
        for word in (word for example in examples for word in shlex.split(example) if word.startswith("--")):
            assert word in details_of(name) or "." in word, (name, word)


def test_the_help_of_fit_is_one_screen(capsys: Says) -> None:
    assert main(["fit", "--help"]) == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) <= 40 and "--help=all" in said and "--trainer." in said


def test_a_long_line_goes_on_under_its_description() -> None:
    lines = shortened("--cases PATH        " + "word " * 30)
    assert len(lines) > 1 and all(line.startswith(" " * 20 + "word") for line in lines[1:])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str, capsys: Says) -> None:
    assert main(["completion", shell]) == 0
    assert "pathfuse completion words" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("fi", ["fit"]),
        ("fit --reci", ["--recipe"]),
        ("fit --recipe corranet_", ["corranet_released", "corranet_wide"]),
        ("plugins ch", ["check"]),
        ("plugins show SEAtt", ["SEAttention"]),
        ("store re", ["repack"]),
        ("fit --cases ", []),
    ],
)
def test_what_may_follow(line: str, found: list[str]) -> None:
    assert following(line.split(" ")) == found


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("--epochs 3", "--trainer.max_epochs N"),
        ("--batch-size 3", "--loading.batch_size N"),
        ("--learning_rate 1", "--predict.optimizer.lr X"),
        ("--lr 1", "--predict.optimizer.lr X"),
        ("--output-dir x", "--out DIR"),
    ],
)
def test_an_option_of_another_tool_is_answered_with_ours(words: str, hint: str, capsys: Says) -> None:
    assert main(["fit", "--recipe", "corranet", *words.split()]) == 2
    assert f"Here it is {hint}." in capsys.readouterr().err
    assert all(option.startswith("--") for option in USUAL.values())


def test_a_word_that_is_nearly_an_option_of_the_command_gets_it_as_a_guess() -> None:
    line = Words.split(["runs/mine", "--targett", "3+", "--seed", "4", "--data.size_px", "64"])
    assert line.take("target") is None and line.take_all("explainer") == []
    with pytest.raises(RecipeError, match=r"--targett is no option\. Did you mean --target\?"):
        line.refuse_misspelt(STAGE_KEYS)
    line.take("targett")
    line.refuse_misspelt(STAGE_KEYS)
