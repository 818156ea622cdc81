import argparse
import subprocess
import sys

import pytest

import litehrnet
from litehrnet.cli.main import COMMANDS, main, run_command
from litehrnet.errors import UserError


def test_version_says_version_cpu_features_and_runtimes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(f"litehrnet {litehrnet.__version__} (Python ")
    assert second.startswith("CPU features: ")
    assert all(f"{name} " in third for name in ("onnxruntime", "openvino", "torch"))


def test_no_command_prints_the_help_and_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr().out
    assert all(command in said for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert "usage: litehrnet" in capsys.readouterr().out


def test_the_home_folder_may_be_a_tilde(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOME", "/nobody")
    assert main(["predict", "~/none.jpg"]) == 2
    assert capsys.readouterr().err == "error: /nobody/none.jpg: no such file\n"
    assert main(["predict", "a~b.jpg"]) == 2
    assert "a~b.jpg: no such file" in capsys.readouterr().err


def test_unknown_command_and_bad_numbers_are_errors(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["frobnicate"], ["demo", "--threads", "0"], ["demo", "--threads", "x"], ["convert", "a"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def _raising(error: BaseException) -> int:
    def run(_: argparse.Namespace) -> int:
        raise error

    return run_command(run, argparse.Namespace())


def test_user_errors_are_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert _raising(UserError("photo.jpg: not an image")) == 2
    assert capsys.readouterr().err == "error: photo.jpg: not an image\n"


def test_interruption_is_exit_code_130_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert _raising(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_faults_of_our_own_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        _raising(ZeroDivisionError())


def test_help_loads_no_package_that_takes_time() -> None:
    code = (
        "import sys\nfrom litehrnet.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([p for p in ('numpy', 'cv2', 'torch', 'onnxruntime', 'rich') if p in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_output_that_nobody_reads_is_no_traceback() -> None:
    command = f"{sys.executable} -m litehrnet summary lite_hrnet_18 --full | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
