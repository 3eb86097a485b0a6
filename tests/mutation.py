"""Mutation testing: ``python tests/mutation.py [--module FILE] [--sample N] [--seed S] [--tests PATH ...]``.

One operator, comparison, constant, or call of min or max of a module is changed at a time, in a copy of the
repository, and the tests are run there: they must fail. A mutant on which they pass is a survivor, and is
printed with its line; the exit code is the number of them. Compiled loops are left out: each mutant of one
would be compiled anew.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 600  # of a run; a mutant that hangs is found out, too
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


def places(tree: ast.Module) -> list[ast.AST]:
    """The nodes outside compiled functions, in order."""
    compiled = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(
            getattr(decorator, "id", "") == "kernel" for decorator in node.decorator_list
        ):
            compiled |= {id(inner) for inner in ast.walk(node)}
    return [node for node in ast.walk(tree) if id(node) not in compiled]


def mutants(tree: ast.Module) -> list[int]:
    """The places where something can be changed."""
    return [k for k, node in enumerate(places(tree)) if mutate(copy.copy(node))]


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


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--module", default="convexrelu/check.py")
    parser.add_argument("--sample", type=int, help="as many mutants, at random; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tests", nargs="+", default=["tests/test_check.py", "tests/oracle/test_witness.py"])
    options = parser.parse_args()
    tree = ast.parse((ROOT / options.module).read_text())
    found = mutants(tree)
    if options.sample is not None:
        found = random.Random(options.seed).sample(found, min(options.sample, len(found)))
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "copy"
        shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(".git", ".venv", "docs", "notebooks"))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *options.tests]
        environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
        for number, k in enumerate(found, 1):
            changed = copy.deepcopy(tree)
            node = places(changed)[k]
            line, change = getattr(node, "lineno", 0), mutate(node)
            (place / options.module).write_text(ast.unparse(changed))
            try:
                done = subprocess.run(
                    command, cwd=place, env=environment, capture_output=True, timeout=SECONDS, check=False
                )
                survived = done.returncode == 0
            except subprocess.TimeoutExpired:
                survived = False
            survivors += survived
            verdict = "SURVIVED" if survived else "killed"
            print(f"{number}/{len(found)} {options.module}:{line} {change}: {verdict}", flush=True)  # noqa: T201
    print(f"{survivors} of {len(found)} mutants survived")  # noqa: T201
    return min(survivors, 100)


if __name__ == "__main__":
    sys.exit(main())
