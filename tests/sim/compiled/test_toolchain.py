"""Compilers found or missing, and a cache that neither breaks nor is broken."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sim.compiled import (
    Cache,
    CompilerError,
    YosysError,
    compile_component,
    compile_generated,
    find_compiler,
)
from sim.compiled import component as component_module
from sim.compiled import yosys as yosys_module
from sim.compiled.toolchain import digest
from tests.sim.compiled.components import Counter


def test_zig_serves_where_there_is_no_other_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang")
    monkeypatch.setenv("PATH", str(tmp_path))
    compiler = find_compiler()
    assert compiler.command[1:] == ("-m", "ziglang", "cc")
    model = compile_component(Counter(), cache=Cache(tmp_path / "cache"), compiler=compiler)
    model.set("en", 1)
    model.step(5)
    assert model.get("y") == 8


def test_no_compiler_at_all_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ziglang", None)
    with pytest.raises(CompilerError, match=r"no C compiler .* was found: install one, or"):
        find_compiler()


def test_failing_compiler_is_reported(tmp_path: Path) -> None:
    source = tmp_path / "bad.c"
    source.write_text("int f(void) { return nothing; }", encoding="utf-8")
    with pytest.raises(CompilerError, match="nothing"):
        find_compiler().build(source, tmp_path / "bad.so", "-O1")


def test_second_build_needs_neither_yosys_nor_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path)
    compile_component(Counter(), cache=cache)

    def forbidden(*arguments: object, **options: object) -> None:
        raise AssertionError("a tool was started")

    monkeypatch.setattr(subprocess, "run", forbidden)
    assert compile_component(Counter(), cache=cache).get("y") == 3


def test_what_a_generator_made_is_kept_until_anything_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def model(what: str) -> int:
        def make() -> Counter:
            made.append(what)
            return Counter()

        kept = Cache(tmp_path)
        built = compile_generated(make, package="systolic", made_from=(what,), cache=kept)
        return built.get("y")

    assert [model(what) for what in ("a", "a", "b", "b")] == [3] * 4
    assert made == ["a", "b"]
    monkeypatch.setattr(component_module, "sources_digest", lambda package: f"other {package}")
    assert model("a") == 3
    assert made == ["a", "b", "a"]


def test_missing_yosys_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(yosys_module.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(YosysError, match="yosys was not found: install yosys, or"):
        yosys_module.yosys_command()


@pytest.mark.parametrize("victim", ["model.so", "interface.json", "listing.json"])
def test_damaged_entry_is_built_again(victim: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    compile_component(Counter(), optimise="-O1", cache=cache)
    for path in tmp_path.glob(f"*/{victim}"):
        path.unlink()
        path.write_bytes(b"damaged")
    assert compile_component(Counter(), optimise="-O1", cache=cache).get("y") == 3


def test_missing_file_of_an_entry_is_built_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    compile_component(Counter(), optimise="-O1", cache=cache)
    for path in tmp_path.glob("*/model.so"):
        path.unlink()
    assert compile_component(Counter(), optimise="-O1", cache=cache).get("y") == 3


def test_concurrent_builders_leave_one_whole_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fill(folder: Path) -> None:
        for index in range(20):
            (folder / f"part_{index}").write_bytes(bytes([index]) * 1000)

    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: cache.get("key", fill), range(16)))
    assert set(folders) == {tmp_path / "key"}
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
    assert len(list(folders[0].iterdir())) == 21


def test_failed_build_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"")
        raise CompilerError("no")

    with pytest.raises(CompilerError):
        Cache(tmp_path).get("key", fail)
    assert list(tmp_path.iterdir()) == []


def test_digest_depends_on_where_parts_end() -> None:
    assert digest("ab", "c") != digest("a", "bc")
