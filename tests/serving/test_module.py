"""The engine for browsers and its module in Node: kernels, maps as the native engine gives them, people, refusals."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from litehrnet import PoseEstimator, read_image
from litehrnet.engine.native import native_module
from litehrnet.engine.webfile import rounded
from litehrnet.keypoints.skeletons import COCO
from litehrnet.serving.liveview import (
    GROUP_EXAMPLE,
    MODULE,
    PageNetwork,
    network_file,
    open_model,
    open_page_detector,
)
from litehrnet.weights.zoo import DEFAULT_WEIGHTS

pytestmark = pytest.mark.slow

WITHIN = 5e-6
"""Of the largest value of a map."""
KINDS = ("engine", "engine_relaxed")


@pytest.fixture(scope="module")
def node() -> list[str]:
    """The command; Node 20 has relaxed SIMD behind a flag."""
    found = shutil.which("node")
    if found is None or not (MODULE / "engine_relaxed.wasm").is_file():
        reason = "not installed: Node or the engine for browsers (make tools-system web)"
        if os.environ.get("LITEHRNET_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    flag = "--experimental-wasm-relaxed-simd"
    options = subprocess.run([found, "--v8-options"], capture_output=True, text=True, check=True).stdout
    return [found, "--no-warnings", *([flag] if flag in options else [])]


@pytest.fixture(scope="module")
def networks() -> list[PageNetwork]:
    """The bundled ones: for keypoints, and the detector."""
    detector = open_page_detector(None, COCO)
    assert detector is not None
    return [open_model(DEFAULT_WEIGHTS), detector.network]


@pytest.fixture(scope="module")
def people_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "people.litehrnet"
    path.write_bytes(network_file(open_model(DEFAULT_WEIGHTS), open_page_detector(None, COCO)))
    return path


def _run(node: list[str], folder: Path, code: str, *words: object) -> Any:
    """What JavaScript prints as JSON; it may import the module's files from ``module``."""
    script = folder / "script.mjs"
    head = f"""
        import {{ readFile, writeFile }} from "node:fs/promises";
        const module = (name) => import({json.dumps((MODULE / "x").as_uri()[:-1])} + name);
        const words = process.argv.slice(2);
    """
    script.write_text(head + code)
    command = [*node, str(script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["", "_relaxed"])
def test_every_kernel_computes_what_the_plain_one_computes(
    node: list[str], project: Path, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "kernel_test"
    if not folder.is_dir():
        folder.mkdir()
        command = ["sh", str(project / "csrc" / "build_web.sh"), str(folder), sys.executable]
        subprocess.run(command, check=True, env=os.environ | {"KERNEL_TEST": "1"})
    test = [*node, str(project / "csrc" / "web" / "run_test.mjs"), str(folder / f"kernel_test{kind}.wasm"), "50"]
    done = subprocess.run(test, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("web ") == 20


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_those_of_the_native_engine(
    node: list[str], networks: list[PageNetwork], people_file: Path, tmp_path: Path, kind: str
) -> None:
    code = """
        const { Network, unpack } = await module("engine.js");
        const compiled = await WebAssembly.compile(await readFile(words[1]));
        const { programs } = await unpack(await readFile(words[0]), "people");
        for (const [i, program] of programs.entries()) {
            const network = new Network(compiled, program);
            const image = await readFile(`${words[2]}/image${i}`);
            network.forward(image.map(() => 255)); // leaves nothing for the next image
            await writeFile(`${words[2]}/maps${i}`, network.forward(image).data);
        }
        console.log(WebAssembly.Module.imports(compiled).length);
    """
    native = native_module()
    assert native is not None
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*network.input_size_wh[::-1], 3), np.uint8) for network in networks]
    for i, image in enumerate(images):
        (tmp_path / f"image{i}").write_bytes(image.tobytes())
    assert _run(node, tmp_path, code, people_file, MODULE / f"{kind}.wasm", tmp_path) == 0
    for i, (network, image) in enumerate(zip(networks, images, strict=True)):
        runner = native.Runner(network.flat.numbers, rounded(network.flat.constants), 1)
        expected: NDArray[np.float32] = runner.run(image[None])
        found = np.frombuffer((tmp_path / f"maps{i}").read_bytes(), np.float32).reshape(expected.shape)
        assert np.abs(found - expected).max() <= WITHIN * np.abs(expected).max()


def test_the_module_finds_the_people_that_predict_finds(node: list[str], people_file: Path, tmp_path: Path) -> None:
    """Also frame by frame; and nobody in a gray picture."""
    image = read_image(GROUP_EXAMPLE)
    (tmp_path / "rgba").write_bytes(np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]).tobytes())
    code = """
        const { load } = await module("litehrnet.js");
        const people = await load(await readFile(words[0]));
        const [width, height] = words.slice(2).map(Number);
        const data = new Uint8ClampedArray(await readFile(words[1]));
        const picture = { data, width, height };
        const followed = people.follow();
        const ids = [];
        for (let frame = 0; frame < 3; frame++) ids.push((await followed.estimate(picture)).map(({ id }) => id));
        const found = await people.estimate(picture);
        const boxes = (await people.detect(picture)).map(({ box }) => box);
        const given = await people.estimate(picture, { boxes: boxes.slice(0, 1) });
        const nobody = await people.estimate({ ...picture, data: data.map(() => 128) });
        people.close();
        const error = await people.estimate(picture).catch(({ message }) => message);
        const counts = [given, boxes, nobody].map(({ length }) => length);
        console.log(JSON.stringify({ found, ids, counts, error }));
    """
    height, width = image.shape[:2]
    told = _run(node, tmp_path, code, people_file, tmp_path / "rgba", width, height)
    expected = PoseEstimator(threads=1).predict(GROUP_EXAMPLE)
    assert len(told["found"]) == len(expected) == 3
    assert told["ids"] == [[1, 2, 3]] * 3
    given, boxes, nobody = told["counts"]
    assert (given, boxes >= 3, nobody) == (1, True, 0)
    assert told["error"] == "the network is closed"
    points = np.array([[[k["x"], k["y"]] for k in person["keypoints"]] for person in told["found"]])
    order = [int(np.argmin(np.abs(points - each).mean((1, 2)))) for each in expected.keypoints]
    assert sorted(order) == [0, 1, 2]
    errors = np.abs(points[order] - expected.keypoints)
    assert np.median(errors) < 0.1
    # Weights of 11 bits may choose another of two peaks that are nearly as high.
    assert (errors[expected.scores >= 0.3] >= 2).any(axis=1).sum() <= 1
    assert told["found"][0]["keypoints"][0]["name"] == "nose"


def test_damaged_files_and_programs_are_refused_in_one_sentence(
    node: list[str], people_file: Path, tmp_path: Path
) -> None:
    code = """
        const { load } = await module("litehrnet.js");
        const { Network, unpack } = await module("engine.js");
        const message = ({ message }) => message;
        const bytes = await readFile(words[0]);
        const { programs } = await unpack(bytes, "people");
        const compiled = await WebAssembly.compile(await readFile(words[1]));
        const changed = (place, value) => {
            const numbers = programs[0].numbers.slice();
            new Int32Array(numbers.buffer)[place] = value;
            try {
                return new Network(compiled, { ...programs[0], numbers }) && "";
            } catch (error) {
                return message(error);
            }
        };
        const steps = 4 + 3 + 17; // after the size, the arena and the output
        console.log(JSON.stringify([
            await load(new TextEncoder().encode("no network")).catch(message),
            await load(bytes.subarray(0, 100000)).catch(message),
            await load(new URL("file:///nowhere/people.litehrnet")).catch(message),
            changed(0, -1),
            changed(steps + 1, 99),
            changed(steps + 1 + 6, 1),
            changed(3, 1 << 29),
        ]));
    """
    told = _run(node, tmp_path, code, people_file, MODULE / "engine.wasm")
    assert told[0].startswith("the given bytes: not a network for browsers (expected")
    assert told[1].startswith("the given bytes: damaged")
    assert "nowhere" in told[2]
    assert told[3] == "it takes images of an impossible size"
    assert told[4] == "it has a step of an unknown kind"
    assert told[5].startswith("step 0 (stem) ")
    assert told[6] == "its arena has an impossible size"
