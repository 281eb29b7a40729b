"""Compiled functions without the compiler: machine code that numba made once, loaded by llvmlite.

Importing numba and taking a function out of its own cache costs one and a half seconds, most of a short command. So a
kernel that short commands need is declared here by its signature. When it is first asked for on a machine, numba
compiles it, and its object code is kept beside the package or, where that cannot be written, in the cache; from then on
llvmlite alone links it, in milliseconds. It is the same code either way, so that results do not depend on which it was.

A kernel takes pointers and numbers and returns nothing; it allocates nothing and raises nothing, so that its code calls
into neither Python nor numba. It runs without the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from matgen.runtime.cache import cache_folder, keep, read_kept

PACKAGE = Path(__file__).resolve().parent.parent

_KINDS: dict[str, tuple[Any, str]] = {
    "float32": (ctypes.c_float, "float32"),
    "int64": (ctypes.c_int64, "int64"),
    "float32*": (ctypes.c_void_p, "float32"),
    "int64*": (ctypes.c_void_p, "int64"),
    "uint16*": (ctypes.c_void_p, "uint16"),
}
"""Kinds of arguments: their type in ctypes, and the number's in numba; a star is a pointer to such numbers."""

_SYMBOLS = {"expf", "exp", "memcpy", "memset", "memmove"}
"""Functions of the C library that kernels may call; all others would have to be there when the code is loaded."""

_NEVER_CALLED = "NRT_MemInfo_call_dtor"
"""numba's function that frees an array, to which a check stays in the code of views of memory that nobody owns."""


def code_folders() -> tuple[Path, Path]:
    """Where machine code is looked for and kept: beside the package, and in the cache."""
    return PACKAGE / "__pycache__" / "kernels", cache_folder() / "kernels"


@dataclass(frozen=True, eq=False)
class Kernel:
    """A function of a module of matgen that numba compiles.

    Attributes:
        module: such as `sampling.decoders.step_kernel`; it is imported for compiling alone.
        function: its name there, a plain Python function.
        arguments: kinds of its arguments, keys of `_KINDS`.
        options: of `numba.njit`.
    """

    module: str
    function: str
    arguments: tuple[str, ...]
    options: Mapping[str, Any]

    def load(self) -> Callable[..., Any] | None:
        """The compiled function, or None where there is neither its code nor a numba that works."""
        return self._loaded

    @cached_property
    def _loaded(self) -> Callable[..., Any] | None:
        try:
            import llvmlite.binding as llvm
        except ImportError:
            return None
        name = self._file_name(llvm)
        kept = next((code for folder in code_folders() if (code := read_kept(folder / name)) is not None), None)
        if kept is None:
            kept = self._compiled(llvm)
            if kept is None:
                return None
            # Into the first folder that can be written; where none can, it is compiled anew each time.
            any(keep(folder / name, kept) for folder in code_folders())
        symbol, _, code = kept.partition(b"\n")
        return self._linked(llvm, symbol.decode(), code)

    def _file_name(self, llvm: Any) -> str:
        """Named by all that the machine code depends on: what is compiled, the compiler, and the processor."""
        source = PACKAGE.joinpath(*self.module.split(".")).with_suffix(".py").read_bytes()
        try:
            compiler = version("numba"), version("llvmlite")
        except PackageNotFoundError:
            compiler = ("", "")
        parts = (compiler, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvm.get_process_triple())
        told = repr((parts, self.arguments, sorted(self.options.items()))).encode()
        return f"{self.function}-{hashlib.sha256(source + told).hexdigest()[:24]}.o"

    def _compiled(self, llvm: Any) -> bytes | None:
        """The name of the function's symbol, a line break, and its object code; None where numba does not work."""
        try:
            import numba
            from numba import types
        except (ImportError, RuntimeError):
            return None
        signature = tuple(
            types.CPointer(getattr(types, number)) if kind.endswith("*") else getattr(types, number)
            for kind, number in ((kind, _KINDS[kind][1]) for kind in self.arguments)
        )
        plain = getattr(import_module(f"matgen.{self.module}"), self.function)
        compiled = numba.njit(signature, no_cpython_wrapper=True, no_cfunc_wrapper=True, **self.options)(plain)
        symbol = compiled.overloads[signature].fndesc.llvm_func_name
        try:
            module = llvm.parse_assembly(compiled.inspect_llvm(signature))
            declared = {one.name: str(one) for one in module.functions if one.is_declaration}
            if _NEVER_CALLED in declared:
                head = declared.pop(_NEVER_CALLED).strip().partition(")")[0].replace("declare", "define", 1)
                module.link_in(llvm.parse_assembly(f"{head}) {{ ret void }}"))
        except RuntimeError:  # a version of llvmlite that writes it otherwise
            return None
        called = {name for name in declared if not name.startswith("llvm.")}
        if not called <= _SYMBOLS:  # such as those of Intel's vector library, where numba uses it
            return None
        return symbol.encode() + b"\n" + _machine(llvm).emit_object(module)

    def _linked(self, llvm: Any, symbol: str, code: bytes) -> Callable[..., Any]:
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(llvm))
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        # As numba calls: a place for what is returned (nothing), one for an exception (never), then the arguments.
        places = ctypes.c_void_p * 2
        kind = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 2, *[_KINDS[kind][0] for kind in self.arguments])
        function = kind(engine.get_function_address(symbol))

        def call(*arguments: Any, memory: Any = engine) -> None:  # the code lies in the engine's memory
            unused = places()
            function(ctypes.addressof(unused), ctypes.addressof(unused) + ctypes.sizeof(ctypes.c_void_p), *arguments)

        return call


def _machine(llvm: Any) -> Any:
    """This processor as the target of code."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True
    )
