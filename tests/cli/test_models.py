"""`activelabel models`: the list, a choice, and the refusals."""

import sys
from pathlib import Path

import pytest
from recorded import record_annotation

from activelabel.cli.main import main
from activelabel.project.opening import open_project
from activelabel.store.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """The ledger of a project with a good model, a worse one, a withdrawn one and a proxy model."""
    project = open_project("app", str(tmp_path), {"labels": "liver"})
    ledger = project.ledger
    ledger.sync_images([f"case_{number}" for number in range(8)], 2)
    judges = [record_annotation(ledger, image_id, "f", "0", "ann").id for image_id in ledger.pool("validation")]
    ledger.publish_model("p.pt", "0", "quick", ["foreground"], {"dice": 0.4}, [], kind="proxy")
    for file, dice in (("a.pt", 0.793), ("b.pt", 0.057), ("c.pt", 0.9)):
        ledger.publish_model(file, "0", "quick", ["liver"], {"dice": dice, "dice_liver": dice}, [], judges)
    ledger.withdraw_model(4)
    return ledger


def models(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["activelabel", "models", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def test_the_list_says_what_each_scored_and_which_is_in_use(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "activelabel" / "models").mkdir(exist_ok=True)
    (tmp_path / "activelabel" / "models" / "a.pt").touch()
    models(monkeypatch, "--studies", tmp_path)
    header, proxy, first, second, third, place_of_files, sentence, of_proxy = capfd.readouterr().out.splitlines()
    published = f"{ledger.model(2).created_at:%Y-%m-%d %H:%M}".split()
    assert header.split() == ["version", "kind", "published", "recipe", "Dice", "cases", "place", "in", "use", "file"]
    assert proxy.split() == [
        "1",
        "proxy",
        *published,
        "quick",
        "0.400",
        "-",
        "-",
        "yes,",
        "the",
        "newest",
        "p.pt",
        "(missing)",
    ]
    place = ["0.793", "(liver", "0.793)", "2", "1", "of", "2"]
    assert first.split() == ["2", "task", *published, "quick", *place, "yes,", "the", "best", "a.pt"]
    assert second.split()[-6:] == ["2", "of", "2", "-", "b.pt", "(missing)"]
    assert "withdrawn 2" in third
    assert place_of_files == f"The files are in {tmp_path / 'activelabel' / 'models'}."
    assert sentence.startswith(
        "Model 3 was published and is not in use: Dice 0.057 on 2 validation cases, place 2 of 2."
    )
    assert of_proxy.startswith("Of the proxy models: Model 1 is in use: the newest")


def test_a_model_can_be_chosen_and_the_best_restored(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    models(monkeypatch, "--studies", tmp_path, "--use", 3, "--by", "Dr. Ann")
    assert "chosen by Dr. Ann" in capfd.readouterr().out
    assert (ledger.model_in_use().version, ledger.model_use().chosen_by) == (3, "Dr. Ann")
    models(monkeypatch, "--studies", tmp_path, "--use", "best")
    assert "Model 2 stays in use: Dice 0.793 on the same cases" in capfd.readouterr().out
    assert (ledger.model_in_use().version, ledger.model_use().chosen_by) == (2, None)
    models(monkeypatch, "--studies", tmp_path, "--use", 2)
    assert ledger.model_use().chosen_by, "the login says who"


def test_the_list_is_empty_before_the_first_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    open_project("app", str(tmp_path), {"labels": "liver"})
    models(monkeypatch, "--studies", tmp_path)
    assert capfd.readouterr().out.strip() == "No model yet."


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--use", "7"], "model version 7: not in the ledger; there are: 1, 2, 3, 4"),
        (["--use", "4"], "model version 4: it was withdrawn for good"),
        (["--use", "9" * 5000], f"--use {'9' * 40}: expected the version of a model, or best"),
        (["--use", "9" * 18], f"model version {'9' * 18}: not in the ledger"),
        (["--use", "worst"], "--use worst: expected the version of a model, or best"),
        (["--by", "ann"], "--by ann: says who chooses, so it goes with --use N or --use best"),
        (["--conf", "project_dir=nowhere"], "got no ledger.sqlite there: start the server first"),
    ],
)
def test_wrong_input_to_models_is_one_line(
    ledger: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["activelabel", "models", "--studies", str(tmp_path), *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    line = capfd.readouterr().err.strip()
    assert ended.value.code == 2
    assert expected in line
    assert len(line.splitlines()) == 1
