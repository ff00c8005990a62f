"""The page by HTTP alone: what scripts get back, what is refused, what is kept."""

import asyncio
import base64
import errno
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import urllib.request
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

import numpy as np
import psutil
import pytest
from PIL import Image, ImageCms

from src.commands.page.offers import Offer
from src.core.errors import ConfigError
from src.core.paths import ROOT
from tests.support.images import pixels, write
from tests.support.runs import command

pages = pytest.importorskip("tests.support.pages", reason="aiohttp is absent")


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> list[Offer]:
    file = tmp_path_factory.mktemp("page") / "told.safetensors"
    pages.write_told(file)
    return pages.offers(f"checkpoint={{told: {file}, panet: {trained}}}", "inference.tile=32")


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return file.getvalue()


def _jpeg() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif, file = Image.Exif(), io.BytesIO()
    exif[272] = "A camera"
    Image.fromarray(pixels()).save(file, "JPEG", quality=30, exif=exif, icc_profile=profile)
    return file.getvalue()


def _wide() -> bytes:
    """Return a PNG of 16-bit colour with alpha."""
    levels = np.random.default_rng(0).integers(0, 2**16, (20, 24, 4), np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    return _chunks(struct.pack(">IIBBBBB", 24, 20, 16, 6, 0, 0, 0), zlib.compress(rows))


def _chunks(head: bytes, data: bytes) -> bytes:
    parts = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    written = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


HUGE = _chunks(struct.pack(">IIBBBBB", 6000, 5000, 8, 2, 0, 0, 0), b"")
BOMB = _chunks(struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0), b"")
SMALL = _png(pixels())


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("photo.jpg", _jpeg(), ("task=dejpeg",)),
        ("photo.png", _wide(), ("task=denoise", "strength=0.5")),
        ("photo.JPEG", _jpeg(), ("task=super_resolution", "scale=2")),
    ],
    ids=["jpeg", "png16a", "x2"],
)
def test_the_answer_is_the_file_that_the_command_writes(
    offered: list[Offer], tmp_path: Path, name: str, content: bytes, words: tuple[str, ...]
) -> None:
    (tmp_path / name).write_bytes(content)
    done = command(
        *("predict", *words, f"input={tmp_path / name}", "device=cpu", "inference.tile=32")
    )
    assert done.code == 0, done.err
    (result,) = (file for file in tmp_path.iterdir() if file.name != name)
    fields = dict(word.split("=") for word in words)
    scale = f"_x{fields.pop('scale')}" if "scale" in fields else ""
    model = f"zoo/{fields.pop('task')}{scale}"

    async def visit() -> tuple[bytes, str, str]:
        async with pages.visited(offered) as client:
            answer = await pages.sent(client, name, content, model=model, **fields)
            about = answer.headers["Exemplar-About"]
            return await answer.read(), answer.headers["Content-Disposition"], about

    body, disposition, about = asyncio.run(visit())
    assert body == result.read_bytes()
    assert disposition == f'attachment; filename="{result.name}"'
    assert json.loads(about)["remarks"] == []


def test_a_fault_of_the_program_is_shown_where_it_runs_and_the_next_visitor_is_served(
    offered: list[Offer], capsys: pytest.CaptureFixture[str]
) -> None:
    (told,) = (offer for offer in offered if offer.name == "told")

    def break_down(*_: object) -> None:
        raise ArithmeticError("a fault [/of] a network")

    async def visit() -> tuple[int, str, int]:
        async with pages.visited(offered) as client:
            hook = told.restorer.net.register_forward_pre_hook(break_down)
            first = await pages.sent(client, "a.png", _png(pixels()), model="told", sigma="9")
            hook.remove()
            second = await pages.sent(client, "a.png", _png(pixels()), model="told", sigma="9")
            return first.status, await first.text(), second.status

    status, said, after = asyncio.run(visit())
    assert (status, after) == (500, 200)
    assert "fault of the program" in said
    assert "a fault [/of] a network" in capsys.readouterr().err


@pytest.mark.parametrize(
    "body",
    [
        b"no form at all",
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff\xfe\r\n--x--\r\n',
    ],
    ids=["no boundary", "not UTF-8"],
)
def test_a_form_that_cannot_be_read_is_said(offered: list[Offer], body: bytes) -> None:
    async def visit() -> tuple[int, str]:
        async with pages.visited(offered) as client:
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            answer = await client.post("/restore", data=body, headers=headers)
            return answer.status, await answer.text()

    status, said = asyncio.run(visit())
    assert status == 422, said
    assert said.startswith("The form cannot be read: ")


def _field(name: str, value: str = "", file: str = "") -> bytes:
    named = f'name="{name}"' + (f'; filename="{file}"' if file else "")
    return f"--x\r\nContent-Disposition: form-data; {named}\r\n\r\n{value}\r\n".encode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (_field("sigmaa", "9"), "sigmaa is no field of a form here. Did you mean sigma"),
        (_field("model", "told") * 2, "model is given twice"),
        (_field("model", "a" * 1001), "model has more than 1000 bytes, too many for a text"),
        (_field("x", "1", file="x.txt"), "x is a text, and a file came"),
        (b"".join(_field(f"f{number}") for number in range(20_000)), "f0 is no field"),
    ],
    ids=["unknown", "twice", "long", "file", "many"],
)
def test_a_field_that_means_nothing_is_refused_at_once(
    offered: list[Offer], fields: bytes, words: str
) -> None:
    async def visit() -> tuple[int, str]:
        async with pages.visited(offered) as client:
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            asked = client.post(
                "/attention", data=io.BytesIO(fields + b"--x--\r\n"), headers=headers
            )
            answer = await asyncio.wait_for(asked, 5)
            return answer.status, await answer.text()

    status, said = asyncio.run(visit())
    assert (status, words in said) == (422, True), said[:500]
    assert len(said) < 500


@pytest.mark.long
def test_uploads_that_never_end_are_bounded_and_others_are_served_when_they_go(
    offered: list[Offer],
) -> None:
    begun = _field("model", "told") + _field("image", "half", file="a.png")[:-2]

    async def endless() -> AsyncIterator[bytes]:
        yield begun
        await asyncio.sleep(60)

    async def visit() -> tuple[int, str, int]:
        async with pages.visited(offered, "waiting=2") as client:
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            uploads = [
                asyncio.create_task(client.post("/look", data=endless(), headers=headers))
                for _ in range(4)
            ]
            await asyncio.sleep(0.5)
            refused = await pages.sent(client, "a.png", SMALL, model="zoo/denoise")
            for upload in uploads:
                upload.cancel()
            await asyncio.sleep(0.5)
            served = await pages.sent(client, "a.png", SMALL, model="zoo/denoise")
            return refused.status, await refused.text(), served.status

    refused, said, served = asyncio.run(visit())
    assert (refused, served) == (503, 200)
    assert said == "4 uploads are under way already; come again in a minute."


@pytest.mark.long
def test_the_level_is_estimated_and_another_changes_the_result(offered: list[Offer]) -> None:
    grey = np.full((96, 96, 3), 128.0) + np.random.default_rng(0).normal(0, 20, (96, 96, 3))
    content = _png(grey.clip(0, 255).astype(np.uint8))

    async def visit() -> tuple[dict[str, object], list[bytes]]:
        async with pages.visited(offered) as client:
            look = await pages.sent(client, "a.png", content, to="/look", model="told")
            sigmas = ({}, {"sigma": "50"})
            files = [await pages.sent(client, "a.png", content, model="told", **s) for s in sigmas]
            return await look.json(), [await file.read() for file in files]

    look, (estimated, given) = asyncio.run(visit())
    assert look["sigma"] == pytest.approx(20, rel=0.15)
    assert str(look["level"]).endswith("estimated")
    assert estimated != given


def test_psnr_is_that_of_the_files(offered: list[Offer]) -> None:
    clean = np.tile(np.arange(0, 240, 5, dtype=np.uint8)[None, :, None], (48, 1, 3))
    noisy = (clean + np.random.default_rng(0).normal(0, 25, clean.shape)).clip(0, 255)
    noisy = noisy.astype(np.uint8)

    async def visit() -> tuple[dict[str, float], bytes]:
        async with pages.visited(offered) as client:
            answer = await pages.sent(
                client, "a.png", _png(noisy), clean=_png(clean), model="zoo/denoise"
            )
            return json.loads(answer.headers["Exemplar-About"])["psnr"], await answer.read()

    scores, content = asyncio.run(visit())
    restored = np.asarray(Image.open(io.BytesIO(content)))
    for name, image in (("before", noisy), ("restored", restored)):
        error = np.mean((image.astype(float) - clean) ** 2)
        assert scores[name] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert scores["restored"] > scores["before"]


@pytest.mark.parametrize(
    ("content", "fields", "status", "words"),
    [
        (b"This is no image.", {}, 422, "photo.png: is not an image, whatever its name says"),
        (b"", {}, 422, "photo.png: is empty"),
        (SMALL[: len(SMALL) // 2], {}, 422, "photo.png: is damaged"),
        (HUGE, {}, 422, "photo.png: has 6000 × 5000 pixels, 30.0 megapixels; 24 are allowed here."),
        (BOMB, {}, 422, "photo.png: is too large (.*); 24 megapixels are allowed here."),
        (_png(pixels(1300, 1300)), {"model": "zoo/super_resolution_x4"}, 422,
         "enlarged ×4 would have 5200 × 5200 pixels, 27.0 megapixels; 24 are allowed here."),
        (bytes(1_100_000), {}, 413, "has 1.1 megabytes or more; 1 are allowed here."),
        (SMALL, {"model": "zoo/denoize"}, 422,
         "model says zoo/denoize, and there is no such network here. Did you mean zoo/denoise"),
        (SMALL, {"model": ""}, 422, "The field model is missing here. Allowed: panet, told, zoo/"),
        (SMALL, {"sigma": "25"}, 422, "sigma=25: zoo/denoise is told no noise; leave it out"),
        (SMALL, {"sigma": "300", "model": "told"}, 422, "sigma=300.0 is not possible; it is one"),
        (SMALL, {"strength": "strong"}, 422, "strength=strong is no number"),
        (SMALL, {"strength": "nan"}, 422, "strength=nan is not possible"),
        (SMALL, {"phase": "rggb"}, 422, "phase=rggb: .* does not demosaic"),
        (_png(pixels(2, 3)), {"model": "told"}, 422, "is too small to tell its noise level"),
    ],
    ids=["text", "empty", "half", "huge", "bomb", "enlarged", "bytes", "model", "no model", "sigma",
         "loud", "word", "nan", "phase", "tiny"],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(
    offered: list[Offer], content: bytes, fields: dict[str, str], status: int, words: str
) -> None:
    limit = () if len(content) > 2e6 else ("megabytes=1",)

    async def visit() -> tuple[int, str]:
        async with pages.visited(offered, *limit) as client:
            asked = {"model": "zoo/denoise"} | fields
            answer = await pages.sent(client, "photo.png", content, **asked)
            return answer.status, await answer.text()

    answered, text = asyncio.run(visit())
    assert answered == status, text
    assert re.search(re.escape(words).replace(r"\.\*", ".*"), text), text
    assert "\n" not in text.strip()


def test_no_error_tells_a_folder_of_the_server(offered: list[Offer]) -> None:
    (told,) = (offer for offer in offered if offer.name == "told")
    folder = str(told.checkpoint.path.parent)
    raised = [
        OSError(errno.EMFILE, "Too many open files", f"{folder}/model"),
        ConfigError(f"scale=3: FFDNet of {folder}/told.safetensors enlarges by 1."),
        MemoryError(),
    ]

    async def visit() -> list[str]:
        said = []
        async with pages.visited(offered) as client:
            for error in raised:
                fail = mock.Mock(side_effect=error)
                hook = told.restorer.net.register_forward_pre_hook(fail)
                answer = await pages.sent(client, "a.png", SMALL, model="told", sigma="9")
                hook.remove()
                said.append(await answer.text())
        return said

    said = asyncio.run(visit())
    assert "fault of the program" in said[0]
    assert "FFDNet of told.safetensors enlarges by 1" in said[1]
    assert said[2] == "There is too little memory for that here; make the photograph smaller."
    assert not [text for text in said if folder in text]


@pytest.mark.long
def test_networks_are_named_without_their_folders(offered: list[Offer]) -> None:
    told = next(offer.checkpoint.path for offer in offered if offer.name == "told")
    assert pages.offers(f"checkpoint={told}")[0].name == told.name
    with pytest.raises(ConfigError, match=r"2 networks would be called told\.safetensors; name"):
        pages.offers(f"checkpoint=[{told},{told}]")


@pytest.mark.parametrize(
    ("words", "host", "status"),
    [
        ((), "attacker.example:7860", 403),
        ((), "localhost.attacker.example", 403),
        ((), "127.0.0.1.attacker.example", 403),
        ((), "[", 403),
        ((), "localhost:7860", 200),
        ((), "LOCALHOST", 200),
        ((), "[::1]:7860", 200),
        (("server=127.0.0.2",), "127.0.0.2:7860", 200),
        (("hosts=photos.example.org",), "photos.example.org", 200),
        (("hosts=[photos.example.org]",), "attacker.example", 403),
        (("server=0.0.0.0",), "studio.local:7860", 200),
        (("server=studio.local",), "studio.local:7860", 200),
        (("server=0.0.0.0", "hosts=[studio.local]"), "studio.local:7860", 200),
        (("server=0.0.0.0", "hosts=[studio.local]"), "attacker.example:7860", 403),
    ],
)
def test_only_names_of_this_machine_are_answered_where_it_alone_is_served(
    offered: list[Offer], words: tuple[str, ...], host: str, status: int
) -> None:
    async def visit() -> tuple[int, str]:
        async with pages.visited(offered, *words) as client:
            answer = await client.get("/models", headers={"Host": host})
            return answer.status, await answer.text()

    answered, text = asyncio.run(visit())
    assert answered == status, text
    assert status == 200 or "hosts=" in text


@pytest.mark.parametrize("name", ["https://a.example", "a.example:80", "''"])
def test_what_is_no_name_of_a_host_is_refused(name: str) -> None:
    done = command("page", f"hosts=[{name}]")
    assert done.code == 2
    assert "is no name of a host, e.g. hosts=photos.example.org" in done.err


def test_a_clean_image_of_another_size_is_refused(offered: list[Offer]) -> None:
    async def visit() -> str:
        async with pages.visited(offered) as client:
            model = "zoo/super_resolution_x2"
            answer = await pages.sent(client, "a.png", SMALL, clean=SMALL, model=model)
            return await answer.text()

    expected = "clean.png: has 24 × 20 pixels, and the result 48 × 40; a clean image has the size"
    assert expected in asyncio.run(visit())


def test_visitors_at_once_get_what_each_would_get_alone(offered: list[Offer]) -> None:
    images = [_png(pixels(seed=seed)) for seed in range(6)]
    models = ["zoo/denoise", "zoo/dejpeg", "zoo/super_resolution_x2"] * 2

    async def visit() -> tuple[list[bytes], list[bytes]]:
        async with pages.visited(offered) as client:
            asked = [
                pages.sent(client, "a.png", image, model=model)
                for image, model in zip(images, models, strict=True)
            ]
            together = [await answer.read() for answer in await asyncio.gather(*asked)]
            alone = []
            for image, model in zip(images, models, strict=True):
                answer = await pages.sent(client, "a.png", image, model=model)
                alone.append(await answer.read())
            return together, alone

    together, alone = asyncio.run(visit())
    assert together == alone
    assert len(set(alone)) == len(alone)


def test_more_than_may_wait_are_asked_to_come_back(offered: list[Offer]) -> None:
    async def visit() -> list[int]:
        async with pages.visited(offered, "waiting=2") as client:
            image = _png(pixels(60, 60))
            asked = [pages.sent(client, "a.png", image, model="zoo/denoise") for _ in range(4)]
            return sorted(answer.status for answer in await asyncio.gather(*asked))

    assert asyncio.run(visit()) == [200, 200, 503, 503]


@pytest.mark.long
def test_work_of_a_visitor_who_has_gone_is_stopped(offered: list[Offer]) -> None:
    offer = next(offer for offer in offered if offer.name == "zoo/denoise")
    calls: list[int] = []
    hook = offer.restorer.net.register_forward_hook(lambda *_: calls.append(1))
    image, tiles = _png(pixels(512, 512)), (512 // 32) ** 2

    async def visit() -> int:
        async with pages.visited(offered) as client:
            fields = {"model": "zoo/denoise", "job": "gone"}
            asked = asyncio.create_task(pages.sent(client, "a.png", image, **fields))
            while not (await (await client.get("/progress/gone")).json())["part"]:
                await asyncio.sleep(0.01)
            asked.cancel()
            answer = await pages.sent(client, "b.png", SMALL, model="zoo/dejpeg")
            return answer.status

    try:
        assert asyncio.run(visit()) == 200
    finally:
        hook.remove()
    assert 0 < len(calls) < tiles


@pytest.mark.long
def test_nothing_is_written_to_disk(
    offered: list[Offer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))  # whoever tries it fails
    monkeypatch.chdir(tmp_path)

    async def visit() -> list[int]:
        async with pages.visited(offered) as client:
            image = _png(pixels(80, 100))
            fields = {"model": "zoo/denoise", "views": "1"}
            answers = [await pages.sent(client, "a.png", image, clean=image, **fields)]
            answers.append(await pages.sent(client, "a.png", b"no image", **fields))
            fields["model"] = "panet"
            answers.append(await pages.sent(client, "a.png", image, to="/look", **fields))
            fields |= {"x": "9", "y": "70"}
            answers.append(await pages.sent(client, "a.png", image, to="/attention", **fields))
            return [answer.status for answer in answers]

    assert asyncio.run(visit()) == [200, 422, 200, 200]
    assert list(tmp_path.iterdir()) == []


def _looked(
    offered: list[Offer], content: bytes, **fields: str
) -> tuple[int, bytes, dict[str, Any]]:
    """Return what comes back where attention is asked for: status, body, and what is said of it."""

    async def visit() -> tuple[int, bytes, dict[str, Any]]:
        async with pages.visited(offered) as client:
            asked = {"model": "panet", "x": "3", "y": "5"} | fields
            answer = await pages.sent(client, "photo.png", content, to="/attention", **asked)
            about = json.loads(answer.headers.get("Exemplar-About", "{}"))
            return answer.status, await answer.read(), about

    return asyncio.run(visit())


@pytest.mark.long
def test_attention_of_a_point_is_what_the_command_draws_and_prints(
    offered: list[Offer], trained: Path, tmp_path: Path
) -> None:
    image = write(tmp_path / "photo.png", pixels(24, 40))
    words = (f"checkpoint={trained}", f"input={image}", "point=30,10", "inference.tile=32")
    done = command("explain", *words, "device=cpu", f"output={tmp_path / 'drawn.png'}")
    assert done.code == 0, done.err
    status, body, about = _looked(offered, image.read_bytes(), x="30", y="10")
    assert status == 200
    drawn = np.asarray(Image.open(tmp_path / "drawn.png"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), drawn)
    block, scales = about["words"]
    printed = " ".join(done.err.split())
    assert block.startswith("Block trunk.1, the only one with attention, looks from ")
    assert "Block trunk.1, the only one with attention" in printed
    assert block.partition(" looks from ")[2].rstrip(".") in printed
    assert scales.partition(": ")[2].rstrip(".") in printed
    assert f"{about['effective_keys']:.1f} effective keys of {about['keys']}," in block
    assert sum(about["levels"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("content", "fields", "words"),
    [
        (SMALL, {"x": "24"}, "point=24,5 is outside of photo.png, which has 24×20 pixels"),
        (SMALL, {"y": "-1"}, "point=3,-1 is outside of photo.png"),
        (SMALL, {"x": "1.5"}, "x=1.5 is no whole number"),
        (SMALL, {"y": "nan"}, "y=nan is no whole number"),
        (SMALL, {"x": ""}, "x= is no whole number"),
        (SMALL, {"x": "9" * 900}, "is outside of photo.png"),
        (SMALL, {"model": "zoo/denoise"}, "zoo/denoise has no attention that weighs places"),
        (SMALL, {"block": "trunk.9"}, "block=trunk.9: Did you mean trunk.1?"),
        (HUGE, {}, "photo.png: has 6000 × 5000 pixels, 30.0 megapixels; 24 are allowed here."),
        (b"This is no image.", {}, "photo.png: is not an image"),
        (_png(pixels(6, 6)), {"model": "told"}, "is too small to tell its noise level"),
    ],
    ids=["right", "above", "half", "nan", "none", "far", "without", "block", "huge", "text",
         "tiny"],
)  # fmt: skip
def test_a_point_that_cannot_be_looked_at_is_refused_in_a_sentence(
    offered: list[Offer], content: bytes, fields: dict[str, str], words: str
) -> None:
    status, body, _ = _looked(offered, content, **fields)
    assert (status, words in body.decode()) == (422, True), body
    assert b"\n" not in body.strip()


def test_networks_say_which_blocks_of_attention_they_have(offered: list[Offer]) -> None:
    blocks = {offer.name: offer.about()["blocks"] for offer in offered}
    assert (blocks["told"], blocks["panet"], blocks["zoo/denoise"]) == (
        pages.BLOCKS,
        ["trunk.1"],
        [],
    )


@pytest.mark.long
def test_any_block_can_be_drawn_and_the_last_is_without_asking(offered: list[Offer]) -> None:
    asked = {"model": "told", "sigma": "9"}
    pictures = [
        _looked(offered, SMALL, **asked, **block)
        for block in ({}, *({"block": b} for b in pages.BLOCKS))
    ]
    assert [status for status, _, _ in pictures] == [200] * (1 + len(pages.BLOCKS))
    assert [about["block"] for _, _, about in pictures] == [pages.BLOCKS[-1], *pages.BLOCKS]
    first = pictures[1][2]["words"][0]
    assert first.startswith(f"Block {pages.BLOCKS[0]}, one of {len(pages.BLOCKS)} with attention (")
    assert pictures[0][1] == pictures[-1][1] != pictures[1][1]


@pytest.mark.long
def test_points_are_those_of_the_upright_photograph(offered: list[Offer]) -> None:
    image, file = Image.fromarray(pixels(20, 24)), io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise by a quarter
    image.save(file, "PNG", exif=exif)
    upright = _png(np.rot90(pixels(20, 24), -1))

    async def look() -> dict[str, Any]:
        async with pages.visited(offered) as client:
            fields = {"model": "panet", "views": "1"}
            answer = await pages.sent(client, "a.png", file.getvalue(), to="/look", **fields)
            said: dict[str, Any] = await answer.json()
            return said

    said = asyncio.run(look())
    shown = base64.b64decode(said["picture"].removeprefix("data:image/png;base64,"))
    assert (said["width"], said["height"]) == (20, 24)
    assert np.array_equal(Image.open(io.BytesIO(shown)), Image.open(io.BytesIO(upright)))
    point = {"x": "2", "y": "22"}  # outside of what the file has before it is turned
    assert _looked(offered, file.getvalue(), **point) == _looked(offered, upright, **point)


@pytest.mark.parametrize(
    "image",
    [pixels(1, 1), pixels(1, 300), pixels(20, 24)[..., 0], pixels(20, 24, 4)],
    ids=["1x1", "line", "grey", "alpha"],
)
def test_attention_of_any_kind_of_photograph_is_drawn(
    offered: list[Offer], image: np.ndarray
) -> None:
    status, body, about = _looked(offered, _png(image), x="0", y="0")
    assert status == 200, body
    assert about["effective_keys"] >= 1 - 1e-6
    assert Image.open(io.BytesIO(body)).size > (100, 100)


@pytest.mark.long
def test_two_points_at_once_get_what_each_would_get_alone(offered: list[Offer]) -> None:
    points = [{"x": "1", "y": "2"}, {"x": "20", "y": "3"}, {"x": "20", "y": "18"}]

    async def visit() -> list[bytes]:
        async with pages.visited(offered) as client:
            asked = [
                pages.sent(client, "a.png", SMALL, to="/attention", model="panet", **point)
                for point in points
            ]
            return [await answer.read() for answer in await asyncio.gather(*asked)]

    together = asyncio.run(visit())
    assert together == [_looked(offered, SMALL, **point)[1] for point in points]
    assert len(set(together)) == len(points)


def test_a_look_of_a_visitor_who_has_gone_is_stopped(offered: list[Offer]) -> None:
    net = next(offer for offer in offered if offer.name == "panet").restorer.module
    begun, gone, calls = Event(), Event(), list[str]()

    def wait(*_: object) -> None:
        begun.set()
        gone.wait(30)

    hooks = [
        net.register_forward_pre_hook(wait),
        net.register_forward_hook(lambda *_: calls.append("through")),
    ]

    async def visit() -> int:
        async with pages.visited(offered) as client:
            fields = {"model": "panet", "x": "1", "y": "1"}
            asked = asyncio.create_task(
                pages.sent(client, "a.png", SMALL, to="/attention", job="gone", **fields)
            )
            await asyncio.to_thread(begun.wait, 30)
            asked.cancel()
            while (await (await client.get("/progress/gone")).json())["before"] is not None:
                await asyncio.sleep(0.01)
            gone.set()
            return (await pages.sent(client, "a.png", SMALL, model="zoo/dejpeg")).status

    try:
        assert asyncio.run(visit()) == 200
    finally:
        for hook in hooks:
            hook.remove()
    assert calls == []


def test_the_page_asks_nothing_of_others_and_pages_of_others_get_nothing(
    offered: list[Offer],
) -> None:
    async def visit() -> tuple[str, str, int]:
        async with pages.visited(offered) as client:
            answer = await client.get("/")
            foreign = await client.post("/look", headers={"Origin": "http://elsewhere.example"})
            policy = answer.headers["Content-Security-Policy"]
            broken = await client.post("/look", headers={"Origin": "http://["})
            assert broken.status == foreign.status
            return await answer.text(), policy, foreign.status

    html, policy, status = asyncio.run(visit())
    assert policy.startswith("default-src 'none'; img-src blob: data:; connect-src 'self';")
    assert re.findall(r"https?://", html) == []
    assert status == 403


@contextmanager
def started(*words: str, **environment: str) -> Iterator[tuple[psutil.Popen, str]]:
    """Start the command, yield it with its address, and end it."""
    line = [sys.executable, "-m", "src.page", "port=0", "device=cpu", *words]
    env = os.environ | environment
    with psutil.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            first = process.stderr.readline()
            address = re.search(r"http://[\d.]+:\d+/", first)
            assert address, first + process.stderr.read()
            yield process, address[0]
        finally:
            if process.poll() is None:
                process.kill()


def curl(address: str, image: Path, *fields: str) -> bytes:
    words = [word for field in fields for word in ("-F", field)]
    line = ["curl", "-sS", "--fail-with-body", "-F", f"image=@{image}", *words, address]
    return subprocess.run(line, check=True, capture_output=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_curl_gets_a_file_and_the_command_ends_well(tmp_path: Path, signum: signal.Signals) -> None:
    image = write(tmp_path / "a.png", pixels(64, 80))
    folder = tmp_path / "temporary"
    folder.mkdir()
    with started(TMPDIR=str(folder)) as (process, address):
        content = curl(f"{address}restore", image, "model=zoo/super_resolution_x2")
        assert Image.open(io.BytesIO(content)).size == (160, 128)
        process.send_signal(signum)
        assert process.wait(timeout=60) == 0
    assert list(folder.iterdir()) == []


@pytest.mark.long
def test_an_address_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("page", f"port={port}", "device=cpu")
    assert done.code == 1, done.err
    assert f"server=127.0.0.1 port={port}: " in done.err
    assert "port=0" in done.err


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_photographs(tmp_path: Path) -> None:
    images = [write(tmp_path / f"{n}.png", pixels(200, 300 + n, seed=n)) for n in range(5)]
    resident: dict[int, float] = {}
    with started() as (process, address):
        urllib.request.urlopen(f"{address}models").read()  # noqa: S310
        for count in range(1, 51):
            model = ("zoo/denoise", "zoo/super_resolution_x2")[count % 2]
            curl(f"{address}restore", images[count % 5], f"model={model}", "views=1")
            resident[count] = process.memory_info().rss / 2**20
    assert resident[50] < resident[5] + 20, resident
