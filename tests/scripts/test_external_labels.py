"""External labels from training to the refusals: lookup by name, flips, marks, rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from evaluation import evaluate
from evaluation.report import ImageScores, Report, Score
from evaluation.runs import ablation, series
from models.artifact import load_network, save_network
from models.genotype import Genotype, save_genotype
from models.prior_source import EXTERNAL, source_of
from models.rules import audit, noncompliant
from models.size import meta_count
from scripts import audit as audit_script
from scripts import export, package_submission
from scripts import restore as restore_script
from tests.external import write_labels
from tests.train.conftest import tiny_net, tiny_space
from train import ending, train_derived
from train.config import DerivedConfig
from train.flags import ConfigError

PRIORS = ("parse", "heat", "dict")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with six faces, LQ, labels of all, and a run trained with them."""
    root = tmp_path_factory.mktemp("external")
    for i in range(6):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 6, 3)).astype(np.uint8)
        for kind, side in (("faces", 128), ("lq", 32)):
            (root / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(root / kind / f"{i}.png"), cv2.resize(coarse, (side, side)))
    space = tiny_space(PRIORS)
    counts = {k: getattr(meta_count(space), k) for k in ("parameters", "learned_buffers", "total")}
    genotype = Genotype(
        space=space, counts=counts, priors=dict.fromkeys(PRIORS, "ab"), provenance={}
    )
    save_genotype(root / "found.json", genotype)
    write_labels(root / "labels", [str(i) for i in range(6)])
    assert train(root, "run", *labels(root)) == 0
    return root


def labels(root: Path) -> list[str]:
    """Return the flags that give a run its labels."""
    return [
        *("--prior-source", "external", "--allow-noncompliant"),
        *write_labels(root / "labels", []),
    ]


def train(root: Path, out: str, *more: str) -> int:
    """Train two steps and return the exit status."""
    lengths = ["--preset", "lab", "--steps", "2", "--faces", "1", "--validate-pairs", "1"]
    where = ["--data", str(root / "faces"), "--cache", str(root / "cache")]
    rest = ["--threads", "1", "--workers", "0", "--out", str(root / out)]
    flags = ["--genotype", str(root / "found.json"), *lengths, *where, *rest, *more]
    return ending.run(train_derived.main, flags)


def test_a_run_with_external_labels_is_marked_and_resumes(place: Path) -> None:
    run = place / "run"
    loaded = load_network(run / "best.safetensors")
    assert source_of(loaded.net) == EXTERNAL
    about = loaded.metadata
    assert about["priors"]["tier"] == "external"
    assert "label order face-parsing" in about["priors"]["noncompliant"]
    assert str(place) not in json.dumps(about["priors"])
    assert about["config"]["allow_noncompliant"] is True
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert rows[0]["kind"] == "noncompliant"
    assert any("labels from outside" in said for said in rows[0]["said"])
    assert ending.run(train_derived.main, ["--resume", "--out", str(run)]) == 0
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in rows].count("noncompliant") == 1


def test_other_labels_on_resume_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = place / "labels" / "codes" / "extra.npy"
    np.save(extra, np.zeros((9, 4, 4)))
    try:
        assert ending.run(train_derived.main, ["--resume", "--out", str(place / "run")]) == 2
    finally:
        extra.unlink()
    assert "--resume: the labels were" in capsys.readouterr().err


def test_audit_packaging_and_export_refuse_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(place / "run" / "best.safetensors")
    assert audit_script.main(["--checkpoint", file, "--device", "cpu"]) == 1
    told = capsys.readouterr().out
    assert "BROKEN  its priors are made of labels from outside the faces" in told
    assert "BROKEN  priors of the tier 'external'" in told
    packed = place / "packed"
    argv = ["--checkpoint", file, "--inputs", str(place / "lq"), "--out", str(packed)]
    assert package_submission.main([*argv, "--device", "cpu"]) == 1
    assert not packed.exists()
    assert "nothing is packed" in capsys.readouterr().err
    for name in ("net.onnx", "net.safetensors"):
        to = place / name
        assert export.main(["--checkpoint", file, "--to", str(to), "--device", "cpu"]) == 2
        assert not to.exists()
        assert "it is not exported" in capsys.readouterr().err


def test_weights_that_started_from_it_are_found_too(place: Path) -> None:
    loaded = load_network(place / "run" / "best.safetensors")
    clean: dict[str, Any] = {
        "fingerprints": {"data": "ab"},
        "held_out_trained_on": [],
        "priors": None,
    }
    init = {"file": "a", "sha256": "0", "metadata": loaded.metadata}
    assert noncompliant(tiny_net(PRIORS), {**clean, "init": init})
    assert noncompliant(tiny_net(PRIORS), {"averaged": [clean, loaded.metadata]})
    assert not noncompliant(tiny_net(PRIORS), {**clean, "init": None})
    assert all(one.kept for one in audit(tiny_net(PRIORS), {**clean, "init": None}))


def _restore(place: Path, out: str, *more: str, face: str = "0") -> int:
    file = str(place / "run" / "best.safetensors")
    flags = ["--checkpoint", file, "--device", "cpu", "--out", str(place / out)]
    return restore_script.main([str(place / "lq" / f"{face}.png"), *flags, *more])


def test_restoring_takes_the_labels_of_the_file_s_name(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = labels(place)
    assert _restore(place, "none") == 2
    assert "outside the challenge's rules" in capsys.readouterr().err
    assert _restore(place, "none", *given[3:]) == 2
    assert "Add --allow-noncompliant" in capsys.readouterr().err
    assert _restore(place, "none", "--allow-noncompliant") == 2
    assert "no labels of parse, heat, dict: give --parse-labels" in capsys.readouterr().err
    cv2.imwrite(str(place / "lq" / "stranger.png"), np.zeros((32, 32, 3), np.uint8))
    assert _restore(place, "none", *given, face="stranger") == 2
    assert "stranger: no parse label" in capsys.readouterr().err
    assert _restore(place, "restored", *given, "--flip-ensemble") == 0
    assert "NOT COMPLIANT" in capsys.readouterr().out
    assert _restore(place, "samples", *given, "--samples", "2") == 0


def test_evaluation_takes_labels_and_its_report_is_marked(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(place / "run" / "best.safetensors")
    flags = ["--checkpoint", file, "--cache", str(place / "cache"), "--device", "cpu"]
    assert evaluate.main([*flags, "--out", str(place / "none")]) == 2
    assert "Add --allow-noncompliant" in capsys.readouterr().err
    out = place / "evaluated"
    more = ["--diversity", "2", "--out", str(out)]
    assert evaluate.main([*flags, *labels(place), *more]) == 0
    report = json.loads((out / "results.json").read_text())
    assert any("labels from outside" in said for said in report["noncompliant"])
    trained = json.loads((place / "run" / "scores.json").read_text())
    assert report["psnr"] == pytest.approx(json_psnr(trained), abs=1e-6)
    assert "NOT COMPLIANT" in capsys.readouterr().out


def test_tables_of_several_runs_are_marked(place: Path) -> None:
    arm = ablation.read_arm("labels", [place / "run"])
    rows = ablation.summary([arm, replace(arm, name="other", noncompliant=())])
    assert any("labels from outside" in said for said in rows[0]["noncompliant"])
    assert "noncompliant" not in rows[1]
    assert "| labels (not compliant) |" in ablation.markdown(rows)
    image = ImageScores("a", (Score(30.0, 0.9),), Score(29.0, 0.8))
    report = Report((image,), 1, {"noncompliant": ["why"]})
    assert series.summary({"one": report})[0]["noncompliant"] == ["why"]


def json_psnr(scores: Any) -> float:
    """Return the mean of the last pass in a run's scores.json."""
    return float(np.mean(scores["psnr"][-1]))


def test_a_compliant_network_takes_labels_only_by_name(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_network(place / "own.safetensors", tiny_net(PRIORS))
    out = place / "own"
    face = str(place / "lq" / "0.png")
    flags = [face, "--checkpoint", str(place / "own.safetensors"), "--device", "cpu"]
    given = labels(place)
    assert restore_script.main([*flags, *given[2:], "--out", str(out)]) == 2
    assert "add --prior-source external" in capsys.readouterr().err
    assert restore_script.main([*flags, *given[:2], *given[3:], "--out", str(out)]) == 2
    assert "Add --allow-noncompliant" in capsys.readouterr().err
    assert restore_script.main([*flags, *given, "--out", str(out)]) == 0
    assert "NOT COMPLIANT" in capsys.readouterr().out


def test_training_refuses_what_does_not_fit(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = labels(place)
    cases = [
        ([*given[:2], *given[3:]], "Add --allow-noncompliant"),
        (given[2:], "add --prior-source external"),
        ([*given, "--augment", "rotation=0.5"], "--augment rotation moves the face away"),
        (given[:3], "no labels of parse, heat, dict"),
        ([*given, "--priors"], "the network has no priors"),
    ]
    for flags, said in cases:
        assert train(place, "refused", *flags) == 2
        assert said in capsys.readouterr().err
        assert not (place / "refused").exists()
    DerivedConfig(
        prior_source=EXTERNAL,
        allow_noncompliant=True,
        landmark_labels="face-alignment",
        augment=("rotation=0.5",),
    )
    with pytest.raises(ConfigError, match="labels of heat"):
        DerivedConfig(landmark_labels="face-alignment")


def test_a_face_without_a_label_or_a_name_with_two_faces_is_told_before_training(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = write_labels(tmp_path / "some", ["0", "1"])
    allowed = labels(place)[:3]
    assert train(place, "missing", *allowed, *some) == 2
    assert "labels are missing, the first of them" in capsys.readouterr().err
    for part, side in (("GT", 128), ("LQ", 32)):
        (tmp_path / "val" / part).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "val" / part / "0.png"), np.zeros((side, side, 3), np.uint8))
    pairs = ["--val", str(tmp_path / "val")]
    assert train(place, "shared", *labels(place), *pairs) == 2
    assert "1 names are of a training and a validation face (0)" in capsys.readouterr().err
    names = ["train/" + str(i) for i in range(6)]
    both = write_labels(tmp_path / "both", [*names, "val/0"])
    assert train(place, "split", *allowed, *both, *pairs, "--dry-run") == 0
