"""Mutation testing: ``python tests/mutation.py [--module FILE] [--sample N] [--tests PATH ...]``.

One operator, comparison, constant, or call of min or max of a module is changed at a time, and the tests that
run its line must fail. A mutant on which they pass is a survivor, and is printed with its line; the exit code
is the number of them. Compiled loops are left out, since each mutant of one would be compiled anew, unless
NUMBA_DISABLE_JIT=1 has them interpreted: a hundred times as slow, so that --tests should name small ones.

All happens in one process of pytest: it runs the tests once, and notes their lines and seconds. A mutant is a
fork of it, with the code of one function, or the value of one constant, replaced; there the tests run, the
quickest first, until one fails; with --quick, only so many as take that long together, so that a survivor is
one of these alone. Tests that start processes of their own do not see mutants.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import math
import os
import random
import signal
import sys
import time
from collections import defaultdict
from itertools import accumulate
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).resolve().parent.parent
SLOWER = 5  # times that the tests of a line take: a mutant that takes longer hangs, and is found out
SECONDS = 3  # and some more
OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And, ast.USub: ast.UAdd, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
CALLS = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "floor": "ceil",
    "any": "all",
}
TESTS = {
    "convexrelu/check.py": ["tests/test_check.py", "tests/oracle/test_witness.py"],
    "convexrelu/check_losses.py": ["tests/test_check_losses.py"],
    "convexrelu/check_outputs.py": ["tests/test_check_outputs.py"],
    "convexrelu/certificates": ["tests/certificates", "tests/test_check.py", "tests/test_check_losses.py"],
    "convexrelu/oracle": ["tests/oracle"],
}


def mutate(node: ast.AST) -> str:
    """Change a node in place; what was changed, or nothing."""
    field = "ops" if isinstance(node, ast.Compare) else "op"
    operator = getattr(node, field, None)
    first = operator[0] if isinstance(operator, list) else operator
    if type(first) in OPERATORS:
        other = OPERATORS[type(first)]()
        setattr(node, field, [other, *operator[1:]] if isinstance(operator, list) else other)
        return f"{type(first).__name__} -> {type(other).__name__}"
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value += 1
        return f"{node.value - 1} -> {node.value}"
    name = "attr" if isinstance(node, ast.Attribute) else "id" if isinstance(node, ast.Name) else ""
    if name and getattr(node, name) in CALLS:
        was = getattr(node, name)
        setattr(node, name, CALLS[was])
        return f"{was} -> {CALLS[was]}"
    return ""


class Place:
    """A node that can be changed, and where it stands: its statement's lines, and the function's name."""

    def __init__(self, number: int, node: ast.AST, statement: ast.stmt, function: str) -> None:
        self.number, self.function = number, function
        self.line = getattr(node, "lineno", statement.lineno)
        body = getattr(statement, "body", None)
        end = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
        self.lines = set(range(statement.lineno, max(end, statement.lineno) + 1))


def places(tree: ast.Module) -> list[Place]:
    """What can be changed, outside annotations and functions that are compiled."""
    numbers = {id(node): number for number, node in enumerate(ast.walk(tree))}
    found: list[Place] = []

    def visit(node: ast.AST, statement: ast.stmt | None, function: str) -> None:
        if isinstance(node, ast.stmt):
            statement = node
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            decorators = [getattr(getattr(d, "func", d), "id", "") for d in node.decorator_list]
            if "kernel" in decorators and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0":
                return
            function = f"{function}.{node.name}".strip(".")
        if statement is not None and mutate(copy.copy(node)):
            found.append(Place(numbers[id(node)], node, statement, function))
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and field not in ("annotation", "returns"):
                    visit(child, statement, function)

    visit(tree, None, "")
    return sorted(found, key=lambda place: place.number)


def plain(value: Any) -> Any:
    """The function behind a method, property or class method; None if there is none."""
    for name in ("__func__", "fget", "func", "__wrapped__"):
        value = getattr(value, name, value)
    return value if isinstance(value, FunctionType) else None


def functions(namespace: dict[str, Any], name: str, prefix: str = "") -> dict[str, FunctionType]:
    """All functions that a module defines, and the methods of its classes."""
    found: dict[str, FunctionType] = {}
    for key, value in namespace.items():
        if isinstance(value, type) and value.__module__ == name and not prefix:
            found |= functions(dict(vars(value)), name, f"{key}.")
        elif (function := plain(value)) is not None and function.__module__ == name:
            found[prefix + key] = function
    return found


def apply(module: ModuleType, tree: ast.Module, place: Place) -> str:
    """Change the module as it lives in this process; what was changed."""
    node = list(ast.walk(tree))[place.number]
    change = mutate(node)
    namespace: dict[str, Any] = {"__name__": module.__name__, "__file__": module.__file__}
    exec(compile(tree, str(module.__file__), "exec"), namespace)
    old, new = (functions(space, module.__name__) for space in (vars(module), namespace))
    for name in old.keys() & new.keys():
        if place.function == name or place.function.startswith(f"{name}."):
            old[name].__code__ = new[name].__code__
            old[name].__defaults__, old[name].__kwdefaults__ = (
                new[name].__defaults__,
                new[name].__kwdefaults__,
            )
    if not place.function:
        for name, value in namespace.items():
            if not isinstance(value, (FunctionType, ModuleType, type)) and not name.startswith("__"):
                setattr(module, name, value)
    return change


class Mutation:
    """The plugin: instead of the loop over tests, one with lines noted, and one over mutants."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.survivors, self.killed = options, 0, 0

    def pytest_collection(self) -> None:
        """One failing example is enough: hypothesis need not look for a smaller one."""
        from hypothesis import Phase, settings  # pytest must know of it first

        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("mutation", settings(), phases=phases)
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        path = ROOT / self.options.module
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        module = importlib.import_module(name)
        source = path.read_text()
        found = places(ast.parse(source))
        if self.options.sample is not None:
            number = min(self.options.sample, len(found))
            found = sorted(random.Random(self.options.seed).sample(found, number), key=lambda p: p.number)
        if self.options.lines:
            found = [place for place in found if place.line in self.options.lines]
        started = time.process_time()
        tests, seconds = self.observe(session.items, str(path))
        say(f"{len(session.items)} tests, {sum(seconds.values()):.0f} s; {len(found)} mutants of {name}")
        for place in found:
            lines = place.lines if place.function else tests.keys()
            running = {item for line in lines for item in tests.get(line, ())}
            ordered = sorted(running, key=seconds.__getitem__)
            spent = accumulate(map(seconds.__getitem__, ordered))
            ordered = [
                item for item, total in zip(ordered, spent, strict=True) if total <= self.options.quick
            ]
            limit = SECONDS + SLOWER * sum(map(seconds.__getitem__, ordered))
            verdict, change = self.judge(module, ast.parse(source), place, ordered, limit)
            self.killed += verdict != "SURVIVED"
            self.survivors += verdict == "SURVIVED"
            say(f"{self.options.module}:{place.line} {change}: {verdict} of {len(ordered)} tests")
        say(f"{self.survivors} of {len(found)} mutants survived")
        spent = time.process_time() - started + os.times().children_user + os.times().children_system
        say(f"{spent:.0f} s of the processor")
        return True

    def observe(
        self, items: list[pytest.Item], path: str
    ) -> tuple[dict[int, set[pytest.Item]], dict[pytest.Item, float]]:
        """Which tests run a line, and how long they take; those that fail or never come here are left out."""
        lines: dict[int, set[pytest.Item]] = defaultdict(set)
        seconds: dict[pytest.Item, float] = {}
        for item in items:
            met: set[int] = set()

            def trace(frame: FrameType, event: str, _: Any, met: set[int] = met) -> Any:
                if frame.f_code.co_filename != path:
                    return None
                met.add(frame.f_lineno)
                return trace

            start = time.process_time()
            sys.settrace(trace)
            try:
                reports = runtestprotocol(item, log=False, nextitem=None)
            finally:
                sys.settrace(None)
            if any(report.failed for report in reports):
                raise SystemExit(f"{item.nodeid} fails without any change")
            seconds[item] = time.process_time() - start
            for line in met:
                lines[line].add(item)
        return lines, seconds

    def judge(
        self, module: ModuleType, tree: ast.Module, place: Place, items: list[pytest.Item], limit: float
    ) -> tuple[str, str]:
        """Run the tests on a mutant, in a fork."""
        change = mutate(copy.copy(list(ast.walk(tree))[place.number]))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.setitimer(signal.ITIMER_VIRTUAL, limit)  # of the processor; it ends the fork
                apply(module, tree, place)
                for item in items:
                    reports = runtestprotocol(item, log=False, nextitem=None)
                    if any(report.failed for report in reports):
                        break
                else:
                    code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return "killed by time", change
        return ("SURVIVED" if os.WEXITSTATUS(status) == 0 else "killed"), change


def say(text: str) -> None:
    os.write(OUT, f"{text}\n".encode())


OUT = os.dup(1)  # what pytest does not capture


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--module", default="convexrelu/check.py")
    parser.add_argument("--sample", type=int, help="as many mutants, at random; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lines", type=int, nargs="+", help="mutants of these lines alone")
    parser.add_argument(
        "--quick", type=float, default=math.inf, help="seconds of tests for a mutant, at most"
    )
    parser.add_argument("--tests", nargs="+", help="those of the module by default")
    options = parser.parse_args()
    named = [tests for name, tests in TESTS.items() if options.module.startswith(name)]
    tests = options.tests or named[0]
    mutation = Mutation(options)
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=--import-mode=importlib"]
    os.chdir(ROOT)
    code = pytest.main([*arguments, *tests], plugins=[mutation])
    return min(mutation.survivors, 100) if code == 0 else int(code)


if __name__ == "__main__":
    sys.exit(main())
